fn route(request: &Request) -> Response {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "route",
        &[
            ::metrics_core::__private::Part::Label("path"),
            ::metrics_core::__private::Part::Label("method"),
            ::metrics_core::__private::Part::Latency(|| ::metrics_core::__private::latency::<
                2,
                false,
                _,
            >(&METRICS.request_latency_seconds)),
            ::metrics_core::__private::Part::Exceptions(|| ::metrics_core::__private::exceptions::<
                2,
                false,
                _,
            >(&METRICS.request_exceptions_total)),
            ::metrics_core::__private::Part::InFlightDefault,
        ],
    );
    let __metrics_call = __METRICS_SITE
        .enter()
        .start_tracked([
            ::metrics_core::__private::label(&request.path()),
            ::metrics_core::__private::label(&request.method()),
        ]);
    let __metrics_out = __metrics_call.run(move || -> Response { answer(request) });
    __metrics_call
        .finish(
            ::metrics_core::__private::exception_if(
                &__metrics_out,
                |out: &Response| out.status() >= 500,
            ),
        );
    __metrics_out
}
