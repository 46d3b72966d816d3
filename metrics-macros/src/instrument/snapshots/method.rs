pub fn load(&mut self, key: u64) -> Option<&mut Entry> {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(::core::module_path!(), "load")
            .named_by(&__metrics_declaration)
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
    let __metrics_call = __METRICS_SITE.start();
    let __metrics_out = __metrics_call
        .run(move || -> Option<&mut Entry> { self.entries.get_mut(&key) });
    __metrics_call
        .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
