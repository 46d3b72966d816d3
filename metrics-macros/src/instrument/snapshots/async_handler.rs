async fn foo(request: Request) -> Result<Response, FooError> {
    ::metrics_core::__private::site!(
        __METRICS_SITE,
        "foo",
        &[
            ::metrics_core::__private::Part::FixedLabel("path", "/foo"),
            ::metrics_core::__private::Part::Cancellable,
            ::metrics_core::__private::Part::Prefix("my_service"),
        ],
    );
    let __metrics_call = __METRICS_SITE.start_async();
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
