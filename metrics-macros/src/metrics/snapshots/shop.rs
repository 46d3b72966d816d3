#[automatically_derived]
impl ::metrics_core::MetricGroup for ShopMetrics {
    fn declare(__metrics_scope: &mut ::metrics_core::Scope<'_>) -> Self {
        const _: () = ::metrics_core::__private::check_name(
            <Family<Histogram, 2> as ::metrics_core::LabeledField<2usize>>::KIND,
            "shop_request_latency_seconds",
            ::core::option::Option::Some(::metrics_core::Kind::Histogram),
            &[],
        );
        const _: () = ::metrics_core::__private::check_name(
            <Gauge as ::metrics_core::MetricField>::KIND,
            "shop_basket_items",
            ::core::option::Option::None,
            &[],
        );
        const _: () = ::metrics_core::__private::check_name(
            <Summary as ::metrics_core::MetricField>::KIND,
            "shop_upload_size_bytes",
            ::core::option::Option::Some(::metrics_core::Kind::Summary),
            &[],
        );
        __metrics_scope
            .within(
                "shop",
                &[("zone", "eu")],
                |__metrics_scope| Self {
                    request_latency_seconds: <Family<
                        Histogram,
                        2,
                    > as ::metrics_core::LabeledField<
                        2usize,
                    >>::declare(
                        __metrics_scope
                            .labeled_field(
                                ::metrics_core::__private::FieldDeclaration::new(
                                        "request_latency_seconds",
                                        "Time to answer a request to the shop.",
                                    )
                                    .buckets(&[0.1f64, 1f64])
                                    .native()
                                    .max_series(100),
                                &[
                                    ("path", <&str as ::metrics_core::LabelValue>::VALUES),
                                    ("method", <Method as ::metrics_core::LabelValue>::VALUES),
                                ],
                            ),
                    ),
                    basket: <Gauge as ::metrics_core::MetricField>::declare(
                        __metrics_scope
                            .field(
                                ::metrics_core::__private::FieldDeclaration::new(
                                        "basket_items",
                                        "Items in all baskets.",
                                    )
                                    .unit("items"),
                            ),
                    ),
                    upload_size_bytes: <Summary as ::metrics_core::MetricField>::declare(
                        __metrics_scope
                            .field(
                                ::metrics_core::__private::FieldDeclaration::new(
                                        "upload_size_bytes",
                                        "Sizes of uploads.",
                                    )
                                    .quantiles(&[0.5f64, 0.99f64]),
                            ),
                    ),
                    db: <DbMetrics as ::metrics_core::MetricGroup>::declare(
                        __metrics_scope,
                    ),
                    replica: __metrics_scope
                        .within(
                            "replica",
                            &[("role", "replica")],
                            |__metrics_scope| <DbMetrics as ::metrics_core::MetricGroup>::declare(
                                __metrics_scope,
                            ),
                        ),
                },
            )
    }
}
impl ShopMetrics {
    /// Registers all metrics in the global registry.
    ///
    /// A metric that cannot be registered still counts but is not exported. `Registry::check` reports it.
    #[must_use]
    #[allow(dead_code)]
    pub fn register() -> Self {
        <Self as ::metrics_core::MetricGroup>::register()
    }
    /// Registers all metrics in this registry.
    ///
    /// # Errors
    ///
    /// Returns an error and registers nothing if a metric is invalid or its name is already in use.
    #[allow(dead_code)]
    pub fn register_in(
        __metrics_registry: &::metrics_core::Registry,
    ) -> ::core::result::Result<Self, ::metrics_core::Error> {
        <Self as ::metrics_core::MetricGroup>::register_in(__metrics_registry)
    }
    /// Returns the metrics in the global registry.
    ///
    /// The first call initializes them. So does exposing the registry.
    pub fn global() -> &'static Self {
        static __METRICS_GLOBAL: ::metrics_core::__private::Global<ShopMetrics> = ::metrics_core::__private::Global::new();
        ::metrics_core::__private::declared!(__METRICS_GLOBAL);
        __METRICS_GLOBAL.get()
    }
    /// Time to answer a request to the shop.
    ///
    /// Returns the series of `shop_request_latency_seconds` with these labels: `path`, `method`. A struct that flattens this one adds its prefix to the name.
    #[allow(dead_code)]
    pub fn request_latency_seconds(
        &self,
        path: &str,
        method: Method,
    ) -> <Family<Histogram, 2> as ::metrics_core::LabeledField<2usize>>::Metric {
        <Family<
            Histogram,
            2,
        > as ::metrics_core::LabeledField<
            2usize,
        >>::series(
            &self.request_latency_seconds,
            [
                <&str as ::metrics_core::LabelValue>::label(&path),
                <Method as ::metrics_core::LabelValue>::label(&method),
            ],
        )
    }
}
