fn load(&self, key: u64, then: Callback) -> impl Future<Output = Entry> + use<> {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(::core::module_path!(), "load")
            .fixed_label("path", "/load")
            .cancellable()
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
    let __metrics_call = __METRICS_SITE.prepare();
    ::metrics_core::__private::create(
        __metrics_call,
        move || { self.store.load(key, then) },
        move |__metrics_out: &Entry| {
            ::metrics_core::__private::Returned(__metrics_out).is_exception()
        },
    )
}
