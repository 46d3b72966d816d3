impl Shop {
    const LIMIT: usize = 3;
    pub fn put(&mut self, item: Item) -> Result<(), Full> {
        fn __metrics_declaration() -> ::metrics_core::__private::Declaration {
            ::metrics_core::__private::Declaration::new(::core::module_path!(), "put")
                .named_by(&__metrics_declaration)
                .prefix("shop")
        }
        ::metrics_core::__private::site!(__METRICS_SITE, __metrics_declaration);
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
