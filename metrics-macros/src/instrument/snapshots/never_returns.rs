fn serve() -> ! {
    static __METRICS_SITE: ::metrics_core::__private::Site = ::metrics_core::__private::Site::new(
            ::core::module_path!(),
            "serve",
        )
        .fixed_label("path", "/loop");
    ::metrics_core::__private::site!(__METRICS_SITE);
    let __metrics_call = __METRICS_SITE.start();
    {
        loop {
            step();
        }
    }
}
