//! Functions with all kinds of return types, lifetimes and generics.

use super::*;

#[test]
fn named_and_elided_lifetimes() {
    #[instrument("named")]
    fn named<'a, 'b: 'a>(first: &'a str, second: &'b str) -> &'a str {
        if first.is_empty() { second } else { first }
    }
    #[instrument("elided")]
    fn elided(text: &str) -> std::str::Chars<'_> {
        text.chars()
    }
    #[instrument("higher-ranked")]
    fn higher_ranked(f: impl for<'a> Fn(&'a str) -> &'a str) -> String {
        f("abc").to_owned()
    }
    #[instrument("async-lifetimes")]
    async fn later<'a>(first: &'a str, _second: &str) -> &'a str {
        yielding().await;
        first
    }
    assert_eq!(named("", "b"), "b");
    assert_eq!(elided("ab").count(), 2);
    assert_eq!(higher_ranked(|text| &text[1..]), "bc");
    assert_eq!(now(later("a", "b")), "a");
    for path in ["named", "elided", "higher-ranked", "async-lifetimes"].iter() {
        assert_eq!(recorded(path).0, 1.0, "{}", path);
    }
}

#[test]
fn impl_trait_in_arguments_and_anywhere_in_the_return_type() {
    #[instrument("impl-argument")]
    fn argument(values: impl IntoIterator<Item = u32>) -> u32 {
        values.into_iter().sum()
    }
    #[instrument("impl-return")]
    fn returned(up_to: u32) -> impl Iterator<Item = u32> + Clone {
        0..up_to
    }
    #[instrument("impl-nested")]
    fn nested(ok: bool) -> Result<(impl Iterator<Item = u32>, Vec<Option<impl Debug>>), Box<dyn Error>> {
        if !ok {
            return Err(Box::new(Failed));
        }
        Ok((0..3, vec![Some("x")]))
    }
    #[instrument("impl-async")]
    async fn later(up_to: u32) -> Result<impl Iterator<Item = u32>, Box<dyn Error>> {
        yielding().await;
        if up_to == 0 {
            return Err(Box::new(Failed));
        }
        Ok(0..up_to)
    }
    #[instrument("impl-closure")]
    fn closure(n: u32) -> impl Fn(u32) -> u32 {
        move |m| n + m
    }
    assert_eq!(argument(vec![1, 2]), 3);
    assert_eq!(returned(3).clone().count(), 3);
    assert_eq!(nested(true).expect("ok").0.count(), 3);
    assert!(nested(false).is_err());
    assert_eq!(now(later(3)).expect("ok").count(), 3);
    assert!(now(later(0)).is_err());
    assert_eq!(closure(1)(2), 3);
    assert_eq!(recorded("impl-argument").0, 1.0);
    assert_eq!(recorded("impl-return").0, 1.0);
    assert_eq!(recorded("impl-nested"), (2.0, 1.0));
    assert_eq!(recorded("impl-async"), (2.0, 1.0));
    assert_eq!(recorded("impl-closure").0, 1.0);
}

#[test]
fn boxed_errors_with_question_mark_and_early_return() {
    #[instrument("boxed-error")]
    fn sync(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
        if text.is_empty() {
            return Err("empty".into());
        }
        if text == "x" {
            return Err(Box::new(Failed));
        }
        Ok(text.parse::<u32>()?)
    }
    #[instrument("boxed-error-later")]
    async fn later(text: &str) -> Result<u32, Box<dyn Error>> {
        yielding().await;
        if text == "x" {
            return Err(Box::new(Failed));
        }
        Ok(text.parse::<u32>()?)
    }
    assert_eq!(sync("5").expect("a number"), 5);
    for text in ["", "x", "y"].iter() {
        assert!(sync(text).is_err());
    }
    assert_eq!(now(later("5")).expect("a number"), 5);
    assert!(now(later("x")).is_err());
    assert!(now(later("y")).is_err());
    assert_eq!(recorded("boxed-error"), (4.0, 3.0));
    assert_eq!(recorded("boxed-error-later"), (3.0, 2.0));
}

#[test]
fn aliases_of_result_and_associated_types() {
    trait Service {
        type Output;
    }
    struct Shop;
    impl Service for Shop {
        type Output = Result<u32, Failed>;
    }
    #[instrument("alias")]
    fn alias(text: &str) -> Outcome<u32> {
        Ok(text.parse::<u32>()?)
    }
    #[instrument("io")]
    fn io() -> std::io::Result<()> {
        Err(std::io::Error::from(std::io::ErrorKind::NotFound))
    }
    #[instrument("associated")]
    fn associated(ok: bool) -> <Shop as Service>::Output {
        if ok { Ok(1) } else { Err(Failed) }
    }
    assert!(alias("x").is_err());
    assert!(io().is_err());
    assert!(associated(false).is_err());
    for path in ["alias", "io", "associated"].iter() {
        assert_eq!(recorded(path), (1.0, 1.0), "{}", path);
    }
}

#[test]
fn never_and_diverging_bodies() {
    #[instrument("never")]
    fn never(n: u32) -> ! {
        panic!("number {}", n)
    }
    #[instrument("never-later")]
    async fn never_later() -> ! {
        yielding().await;
        panic!("later")
    }
    #[instrument("diverging")]
    fn diverging() -> u32 {
        panic!("no number")
    }
    #[instrument("unimplemented")]
    fn unfinished() -> impl Iterator<Item = u32> {
        if true {
            unimplemented!("not yet")
        }
        std::iter::empty()
    }
    #[instrument("loops")]
    fn loops() -> u32 {
        loop {
            return 1;
        }
    }
    assert!(catch_unwind(|| never(1)).is_err());
    assert!(catch_unwind(|| now(never_later())).is_err());
    assert!(catch_unwind(diverging).is_err());
    assert!(catch_unwind(|| drop(unfinished())).is_err());
    assert_eq!(loops(), 1);
    for path in ["never", "never-later", "diverging", "unimplemented"].iter() {
        assert_eq!(recorded(path), (1.0, 1.0), "{}", path);
    }
    assert_eq!(recorded("loops"), (1.0, 0.0));
}

#[test]
fn generics_const_generics_and_where() {
    #[instrument("generic")]
    fn generic<T: Clone, U>(value: &T, other: U) -> (T, U)
    where
        U: Default + PartialEq,
    {
        (value.clone(), other)
    }
    #[instrument("const-generic")]
    fn const_generic<const N: usize>(values: [u8; N]) -> [u8; N] {
        values
    }
    #[instrument("generic-later")]
    async fn later<T, E: Error + 'static>(value: Result<T, E>) -> Result<T, Box<dyn Error>> {
        yielding().await;
        Ok(value?)
    }
    struct Wrapper<T>(T);
    impl<T: Display> Wrapper<T> {
        #[instrument("generic-impl")]
        fn show(&self) -> String {
            self.0.to_string()
        }
    }
    assert_eq!(generic(&1, 2), (1, 2));
    assert_eq!(const_generic([1, 2, 3]), [1, 2, 3]);
    assert!(now(later::<u32, _>(Err(Failed))).is_err());
    assert_eq!(Wrapper(5).show(), "5");
    assert_eq!(recorded("generic").0, 1.0);
    assert_eq!(recorded("const-generic").0, 1.0);
    assert_eq!(recorded("generic-later"), (1.0, 1.0));
    assert_eq!(recorded("generic-impl").0, 1.0);
}
