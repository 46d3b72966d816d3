fn route(request: &Request, method: &str) -> impl Iterator<Item = u8> {
    fn __metrics_declaration() -> my::metrics::__private::Declaration {
        my::metrics::__private::Declaration::new(::core::module_path!(), "route")
            .label_in_open("path", || my::metrics::__private::values(["/foo", "/bar"]))
            .label_in("method", || my::metrics::__private::values(METHODS))
            .fixed_label("zone", "eu")
            .histogram()
            .buckets(&[0.01f64, 0.1f64, 1f64])
            .max_series(100)
    }
    my::metrics::__private::site!(__METRICS_SITE, __metrics_declaration);
    let __metrics_call = __METRICS_SITE
        .enter()
        .start([
            my::metrics::__private::label(&request.path()),
            my::metrics::__private::label(&method),
        ]);
    let __metrics_out = __metrics_call.run(move || -> _ { bytes(request, method) });
    __metrics_call
        .finish(my::metrics::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
