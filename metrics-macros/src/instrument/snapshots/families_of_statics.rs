fn route(request: &Request) -> Response {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(::core::module_path!(), "route")
            .label("path")
            .label("method")
            .latency(|| ::metrics_core::__private::latency::<
                2,
                false,
                _,
            >(&METRICS.request_latency_seconds))
            .exceptions(|| ::metrics_core::__private::exceptions::<
                2,
                false,
                _,
            >(&METRICS.request_exceptions_total))
            .in_flight_default()
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
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
