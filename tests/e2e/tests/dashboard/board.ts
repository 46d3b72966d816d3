// The shape of an exported dashboard: the exported types, with enums replaced by the literals that JSON contains.
import type * as S from 'SCHEMA';
import type * as TimeSeries from 'SCHEMA/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
import type * as Stat from 'SCHEMA/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type * as Table from 'SCHEMA/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type * as Heatmap from 'SCHEMA/dist/esm/raw/composable/heatmap/panelcfg/x/HeatmapPanelCfg_types.gen';
import type * as Timeline from 'SCHEMA/dist/esm/raw/composable/statetimeline/panelcfg/x/StateTimelinePanelCfg_types.gen';
import type { PrometheusDataQuery } from 'grafana-schema-10/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen';

type Json<T> =
  T extends boolean | null | undefined ? T
  : T extends string ? `${T}`
  : T extends number ? (`${number}` extends `${T}` ? number : `${T}` extends `${infer N extends number}` ? N : never)
  : T extends (infer E)[] ? Json<E>[]
  : unknown extends T ? any
  : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

// `null` in thresholds is how JSON writes -Infinity.
type Steps = { mode: 'absolute' | 'percentage'; steps: { color: string; value: number | null }[] };
type Defaults<C> = Omit<Json<S.FieldConfig>, 'thresholds' | 'custom'> & { thresholds: Steps; custom?: Json<C> };
type Base = Omit<Json<S.Panel>, 'type' | 'options' | 'fieldConfig' | 'targets'> & { id: number; gridPos: Json<S.GridPos>; title: string; targets: Json<PrometheusDataQuery>[] };
type Of<K extends string, O, C> = Base & { type: K; options: Json<O>; fieldConfig: { defaults: Defaults<C>; overrides: Json<S.FieldConfigSource>['overrides'] } };
type AnyPanel =
  | Of<'timeseries', TimeSeries.Options, TimeSeries.FieldConfig>
  | Of<'stat', STATOPTIONS, {}>
  | Of<'table', Table.Options, TABLECUSTOM>
  | Of<'heatmap', Heatmap.Options, Heatmap.FieldConfig>
  | Of<'state-timeline', Timeline.Options, Timeline.FieldConfig>;
type Row = { type: 'row'; collapsed: boolean; id: number; title: string; gridPos: Json<S.GridPos>; panels: AnyPanel[] };
// Grafana exports variables without a selection as `current: {}`, which its schema does not allow.
type Variable = Omit<Json<S.VariableModel>, 'current'> & { current: Json<S.VariableModel>['current'] | Record<string, never> };
type Board = Omit<Json<S.Dashboard>, 'panels' | 'id' | 'templating'> & { id: null; panels: (AnyPanel | Row)[]; templating: { list: Variable[] } };

