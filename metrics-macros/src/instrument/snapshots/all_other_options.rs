fn route(request: &Request, method: &str) -> impl Iterator<Item = u8> {
    my::metrics::__private::site!(
        __METRICS_SITE,
        "route",
        &[
            my::metrics::__private::Part::LabelInOpen(
                "path",
                || my::metrics::__private::values(["/foo", "/bar"]),
            ),
            my::metrics::__private::Part::LabelIn(
                "method",
                || my::metrics::__private::values(METHODS),
            ),
            my::metrics::__private::Part::FixedLabel("zone", "eu"),
            my::metrics::__private::Part::Histogram,
            my::metrics::__private::Part::Buckets(&[0.01f64, 0.1f64, 1f64]),
            my::metrics::__private::Part::MaxSeries(100),
        ],
    );
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
