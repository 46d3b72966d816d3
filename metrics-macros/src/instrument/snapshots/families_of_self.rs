fn run(&self, kind: Kind) -> Result<(), JobError> {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "run",
        &[
            ::metrics_core::__private::Part::Label("kind"),
            ::metrics_core::__private::Part::LatencyPerCall,
            ::metrics_core::__private::Part::ExceptionsPerCall,
        ],
    );
    let __metrics_call = __METRICS_SITE
        .enter_with()
        .latency::<1, false, _>(&self.metrics.latency)
        .exceptions::<1, false, _>(&self.metrics.exceptions)
        .start([::metrics_core::__private::label(&kind)]);
    let __metrics_out = __metrics_call
        .run(move || -> Result<(), JobError> { self.queue(kind).pop()?.run() });
    __metrics_call
        .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
