fn serve() -> ! {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(::core::module_path!(), "serve")
            .fixed_label("path", "/loop")
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
    let __metrics_call = __METRICS_SITE.start();
    {
        loop {
            step();
        }
    }
}
