async fn foo(request: Request) -> Result<Response, FooError> {
    static __METRICS_SITE: ::metrics_core::__private::Site = ::metrics_core::__private::Site::new(
            ::core::module_path!(),
            "foo",
        )
        .fixed_label("path", "/foo")
        .cancellable()
        .prefix("my_service");
    ::metrics_core::__private::site!(__METRICS_SITE);
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
