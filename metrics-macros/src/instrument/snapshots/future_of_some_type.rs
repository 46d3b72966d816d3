fn load(&self, key: u64, then: Callback) -> impl Future<Output = Entry> + use<> {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "load",
        &[
            ::metrics_core::__private::Part::FixedLabel("path", "/load"),
            ::metrics_core::__private::Part::Cancellable,
        ],
    );
    let __metrics_call = __METRICS_SITE.prepare_async();
    ::metrics_core::__private::create(
        __metrics_call,
        move || { self.store.load(key, then) },
        move |__metrics_out: &Entry| {
            ::metrics_core::__private::Returned(__metrics_out).is_exception()
        },
    )
}
