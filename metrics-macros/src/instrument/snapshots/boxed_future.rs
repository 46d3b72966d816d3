fn load<'a>(
    &'a self,
    key: u64,
) -> Pin<Box<dyn Future<Output = Result<Entry, LoadError>> + Send + 'a>> {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "load",
        &[
            ::metrics_core::__private::Part::Label("path"),
            ::metrics_core::__private::Part::Cancellable,
        ],
    );
    let __metrics_call = __METRICS_SITE
        .enter()
        .prepare([::metrics_core::__private::label(&self.path)]);
    Box::pin(
        ::metrics_core::__private::measure(
            __metrics_call,
            async move {
                if false {
                    return ::metrics_core::__private::output::<
                        Result<Entry, LoadError>,
                    >();
                }
                self.store.get(key).await
            },
            move |__metrics_out| {
                ::metrics_core::__private::Returned(__metrics_out).is_exception()
            },
        ),
    )
}
