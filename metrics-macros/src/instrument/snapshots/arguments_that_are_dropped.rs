fn keep(first: Guard, name: &str, second: Guard) -> usize {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(::core::module_path!(), "keep")
            .fixed_label("path", "/keep")
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
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
