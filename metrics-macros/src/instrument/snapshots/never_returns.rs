fn serve() -> ! {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "serve",
        &[::metrics_core::__private::Part::FixedLabel("path", "/loop")],
    );
    let __metrics_call = __METRICS_SITE.start();
    {
        loop {
            step();
        }
    }
}
