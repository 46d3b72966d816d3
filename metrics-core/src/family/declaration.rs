//! Family declarations, and the comparison of two declarations with the same name.

use std::panic::Location;
use std::time::Instant;

use crate::buckets::InvalidOption;
use crate::cell::buckets::{Exponential, Native, Quantiles};
use crate::cell::window::Window;
use crate::cell::{Buckets, exponential};
use crate::error::{Error, Field};
use crate::kind::Kind;
use crate::labels;
use crate::lint::StyleRule;
use crate::metric::MetricVTable;
use crate::sample::FamilyInfo;
use crate::windows;

/// A family's declaration: everything except its series.
pub(crate) struct FamilyDeclaration {
    pub(crate) name: String,
    pub(crate) help: String,
    pub(crate) unit: Option<String>,
    pub(crate) metric: &'static MetricVTable,
    pub(crate) label_names: Vec<String>,
    /// Each label's closed set of values, if it has one; empty if no label values were declared.
    pub(crate) label_values: Vec<Option<&'static [&'static str]>>,
    pub(crate) const_labels: Vec<(String, String)>,
    /// The buckets of a histogram or of a summary with quantiles; `None` for other metrics.
    pub(crate) buckets: Option<&'static Buckets>,
    /// The first invalid option of the buckets.
    pub(crate) invalid_option: Option<InvalidOption>,
    /// The style rules that the family may break.
    pub(crate) allowed: &'static [StyleRule],
    /// The location of the declaration in user code.
    pub(crate) location: &'static Location<'static>,
}

impl FamilyDeclaration {
    pub(crate) fn kind(&self) -> Kind {
        self.metric.kind
    }

    pub(crate) fn info(&self) -> FamilyInfo<'_> {
        FamilyInfo { name: &self.name, help: &self.help, kind: self.kind(), unit: self.unit.as_deref() }
    }

    /// The upper bounds of a histogram's buckets; empty for other types.
    pub(crate) fn bounds(&self) -> &'static [f64] {
        self.buckets.map_or(&[], |buckets| &buckets.bounds)
    }

    /// Returns true for a histogram with native buckets.
    pub(crate) fn is_native(&self) -> bool {
        let exponential = self.buckets.and_then(|buckets| buckets.exponential.as_ref());
        exponential.is_some_and(|exponential| exponential.native.is_some())
    }

    /// The quantiles of a summary; empty for other types.
    pub(crate) fn quantiles(&self) -> &'static [f64] {
        let exponential = self.buckets.and_then(|buckets| buckets.exponential.as_ref());
        exponential.and_then(|exponential| exponential.quantiles.as_ref()).map_or(&[], |quantiles| &quantiles.quantiles)
    }

    /// Ensures that the windows of the quantiles, if there are any, are advanced. The caller must not hold a lock.
    pub(crate) fn keep_windows(&self) {
        if let Some(buckets) = self.buckets
            && let Some(Exponential { quantiles: Some(quantiles), .. }) = &buckets.exponential
        {
            windows::keep(Window::aligned(quantiles.max_age, Instant::now()).end());
        }
    }

    /// Describes the options of exponential buckets, for error messages.
    fn describe_exponential(&self) -> String {
        let Some(exponential) = self.buckets.and_then(|buckets| buckets.exponential.as_ref()) else {
            return "none".to_owned();
        };
        match (&exponential.native, &exponential.quantiles) {
            (Some(Native { schema, max_buckets }), _) => {
                format!("factor {:.4} and at most {max_buckets}", exponential::growth(*schema))
            }
            (None, Some(Quantiles { quantiles, max_age })) => {
                let error = exponential::relative_error(exponential.schema);
                format!("{quantiles:?} with a relative error of {error:.4} over {max_age:?}")
            }
            (None, None) => "none".to_owned(),
        }
    }

    /// The number of possible label sets, if all labels have closed sets of values.
    pub(crate) fn combinations(&self) -> Option<usize> {
        if self.label_values.is_empty() {
            return None;
        }
        self.label_values.iter().try_fold(1_usize, |product, values| Some(product.saturating_mul((*values)?.len())))
    }

    /// Returns an error if a family with this declaration and this cap cannot be registered.
    pub(crate) fn check(&self, max_series: usize) -> Result<(), Error> {
        let metric = || self.name.clone();
        if !labels::is_metric_name(&self.name) {
            return Err(Error::InvalidName { name: metric() });
        }
        let constant = self.const_labels.iter().map(|(name, _)| name);
        // The label with the state has the name of the metric.
        let state = (self.kind() == Kind::StateSet).then_some(&self.name);
        let names = constant.chain(&self.label_names).chain(state).map(String::as_str);
        labels::check_names(&self.name, self.kind(), &names)?;
        if let Some(invalid) = &self.invalid_option {
            return Err(invalid.error(&self.name));
        }
        if let Some(combinations) = self.combinations().filter(|combinations| *combinations > max_series) {
            return Err(Error::TooManySeries { metric: metric(), combinations, max_series });
        }
        if let Some(unit) = &self.unit {
            let total = if self.kind() == Kind::Counter { self.name.strip_suffix("_total") } else { None };
            let base = total.unwrap_or(&self.name);
            if unit.is_empty() || !base.ends_with(&format!("_{unit}")) {
                return Err(Error::InvalidUnit { metric: metric(), unit: unit.clone() });
            }
        }
        Ok(())
    }

    /// The style rules that the family breaks, except the allowed ones.
    pub(crate) fn broken_rules(&self) -> impl Iterator<Item = StyleRule> + '_ {
        let names = || self.label_names.iter().chain(self.const_labels.iter().map(|(name, _)| name)).cloned();
        StyleRule::ALL.into_iter().filter(move |rule| {
            !self.allowed.contains(rule) && rule.is_broken(&self.name, self.kind(), &self.help, names())
        })
    }

    /// Returns true if the family has exactly these labels, in any order.
    pub(crate) fn has_labels(&self, names: &[impl AsRef<str>]) -> bool {
        let has = |name: &str| self.label_names.iter().any(|own| own == name);
        self.label_names.len() == names.len() && names.iter().all(|name| has(name.as_ref()))
    }

    /// Returns an error if `given`, which has the same name, conflicts with this declaration.
    pub(crate) fn compare(&self, given: &Self) -> Result<(), Error> {
        self.compare_if(given, true)
    }

    /// Like [`FamilyDeclaration::compare`], but the labels may differ.
    pub(crate) fn compare_except_labels(&self, given: &Self) -> Result<(), Error> {
        self.compare_if(given, false)
    }

    fn compare_if(&self, given: &Self, labels: bool) -> Result<(), Error> {
        let (field, registered, given) = if self.kind() != given.kind() {
            (Field::Type, self.kind().describe().to_owned(), given.kind().describe().to_owned())
        } else if self.metric.states != given.metric.states {
            (Field::States, format!("{:?}", self.metric.states), format!("{:?}", given.metric.states))
        } else if labels && self.label_names != given.label_names {
            (Field::LabelNames, format!("{:?}", self.label_names), format!("{:?}", given.label_names))
        } else if self.const_labels != given.const_labels {
            (Field::ConstLabels, format!("{:?}", self.const_labels), format!("{:?}", given.const_labels))
        } else if self.help != given.help {
            (Field::Help, format!("{:?}", self.help), format!("{:?}", given.help))
        } else if self.unit != given.unit {
            (Field::Unit, format!("{:?}", self.unit), format!("{:?}", given.unit))
        } else if self.bounds() != given.bounds() {
            (Field::Buckets, format!("{:?}", self.bounds()), format!("{:?}", given.bounds()))
        } else if self.quantiles() != given.quantiles() {
            (Field::Quantiles, format!("{:?}", self.quantiles()), format!("{:?}", given.quantiles()))
        } else if self.buckets != given.buckets && self.kind() == Kind::Summary {
            (Field::Quantiles, self.describe_exponential(), given.describe_exponential())
        } else if self.buckets != given.buckets {
            (Field::NativeBuckets, self.describe_exponential(), given.describe_exponential())
        } else {
            return Ok(());
        };
        Err(Error::Conflict { name: self.name.clone(), field, registered, location: self.location, given })
    }

    /// The names that samples of this family can have in any format.
    pub(crate) fn sample_names(&self) -> impl Iterator<Item = String> + '_ {
        sample_names(&self.name, self.kind())
    }
}

/// The names that samples of a family with this name and type can have in any format.
pub(crate) fn sample_names(name: &str, kind: Kind) -> impl Iterator<Item = String> + '_ {
    let base = match kind {
        Kind::Counter => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    let total = (kind == Kind::Counter).then(|| format!("{base}_total"));
    let suffixed = kind.suffixes().iter().map(move |suffix| format!("{base}{suffix}"));
    std::iter::once(base.to_owned()).chain(total).chain(suffixed)
}
