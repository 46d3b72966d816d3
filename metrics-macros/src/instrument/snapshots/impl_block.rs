impl Shop {
    const LIMIT: usize = 3;
    pub fn put(&mut self, item: Item) -> Result<(), Full> {
        ::metrics_core::__private::site!(
            __METRICS_SITE,
            "put",
            &[
                ::metrics_core::__private::Part::NamedBy(|| ::core::any::type_name_of_val(
                    &|| {},
                )),
                ::metrics_core::__private::Part::Prefix("shop"),
            ],
        );
        let __metrics_call = __METRICS_SITE.start();
        let __metrics_out = __metrics_call
            .run(move || -> Result<(), Full> {
                self.room()?.push(item);
                Ok(())
            });
        __metrics_call
            .finish(::metrics_core::__private::Returned(&__metrics_out).is_exception());
        __metrics_out
    }
    fn room(&mut self) -> Result<&mut Vec<Item>, Full> {
        Ok(&mut self.items)
    }
}
