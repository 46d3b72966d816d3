fn route_request(path: &str, request: Request) -> Result<Response, RouteError> {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "route_request",
        &[
            ::metrics_core::__private::Part::LabelIn(
                "path",
                || ::metrics_core::__private::values(HANDLERS.keys()),
            ),
        ],
    );
    let __metrics_call = __METRICS_SITE
        .enter()
        .start([::metrics_core::__private::label(&path)]);
    let __metrics_out = __metrics_call
        .run(move || -> Result<Response, RouteError> {
            let handler = HANDLERS.get(path).ok_or(RouteError)?;
            handler(request)
        });
    __metrics_call
        .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
