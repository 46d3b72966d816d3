async fn foo(request: Request) -> Result<Response, FooError> {
    fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
        ::metrics_core::__private::Declaration::new(::core::module_path!(), "foo")
            .fixed_label("path", "/foo")
            .cancellable()
            .prefix("my_service")
    }
    ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
    let __metrics_call = __METRICS_SITE.start_tracked();
    let __metrics_out = __metrics_call
        .run_async(async move {
            if false {
                return ::metrics_core::__private::output::<Result<Response, FooError>>();
            }
            { Ok(Response::new(load(request).await?)) }
        })
        .await;
    __metrics_call
        .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
    __metrics_out
}
