pub fn load(&mut self, key: u64) -> Option<&mut Entry> {
    static __METRICS_SITE: ::metrics_core::__private::Site = ::metrics_core::__private::Site::new(
            ::core::module_path!(),
            "load",
        )
        .named_by(&|| {});
    ::metrics_core::__private::site!(__METRICS_SITE);
    let __metrics_call = __METRICS_SITE.start();
    let __metrics_out = __metrics_call
        .run(move || -> Option<&mut Entry> { self.entries.get_mut(&key) });
    __metrics_call
        .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
