fn keep(first: Guard, name: &str, second: Guard) -> usize {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "keep",
        &[::metrics_core::__private::Part::FixedLabel("path", "/keep")],
    );
    let __metrics_call = __METRICS_SITE.start();
    let __metrics_out = __metrics_call
        .run(move || -> usize {
            if false {
                let _ = (&second, &first);
            }
            { second.len() + first.len() + name.len() }
        });
    __metrics_call
        .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
