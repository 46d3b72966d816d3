fn route(path: &str, request: Request) -> Result<Response, RouteError> {
    metrics::__private::site!(
        __METRICS_SITE,
        "route",
        &[
            metrics::__private::Part::Label("path"),
            metrics::__private::Part::KindLabelInOpen(
                "kind",
                || metrics::__private::KindsOf::<Result<(), RouteError>>::new().kinds(),
            ),
            metrics::__private::Part::ResultLabelIn(
                "status",
                || metrics::__private::values(STATUSES),
            ),
        ],
    );
    let __metrics_call = __METRICS_SITE
        .enter()
        .by_result()
        .start([metrics::__private::label(&path)]);
    let __metrics_out = __metrics_call
        .run(move || -> Result<Response, RouteError> { answer(path, request) });
    __metrics_call
        .finish(
            metrics::__private::Ending::new(
                    metrics::__private::Returned(&__metrics_out).is_exception(),
                    [
                        metrics::__private::of_result(
                            &__metrics_out,
                            #[allow(
                                clippy::redundant_closure,
                                clippy::redundant_closure_for_method_calls
                            )]
                            |out| status_of(out),
                        ),
                    ],
                )
                .kind(metrics::__private::kind(&__metrics_out)),
        );
    __metrics_out
}
