fn route_request(path: &str, request: Request) -> Result<Response, RouteError> {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(
                ::core::module_path!(),
                "route_request",
            )
            .label_in("path", || ::metrics_core::__private::values(HANDLERS.keys()))
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
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
