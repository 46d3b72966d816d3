//! Functions that return a future without being `async`.

use super::*;

#[test]
fn functions_that_return_impl_future() {
    #[instrument("future-block")]
    fn block(n: u32) -> impl Future<Output = Outcome<u32>> {
        async move {
            yielding().await;
            if n == 0 {
                return Err(Failed);
            }
            let parsed: u32 = "7".parse()?;
            Ok(n + parsed)
        }
    }
    #[instrument("future-statements")]
    fn statements(text: &str) -> impl Future<Output = usize> + Send {
        let text = text.to_owned();
        async move {
            yielding().await;
            text.len()
        }
    }
    #[instrument("future-other")]
    fn other(n: u32) -> impl Future<Output = Outcome<u32>> + Send + Unpin {
        std::future::ready(if n == 0 { Err(Failed) } else { Ok(n) })
    }
    #[instrument("future-error")]
    fn boxed_error(n: u32) -> impl Future<Output = Result<u32, Box<dyn Error>>> {
        async move {
            if n == 0 {
                return Err(Box::new(Failed));
            }
            Ok(n)
        }
    }
    assert_eq!(now(block(0)), Err(Failed));
    assert_eq!(now(block(1)), Ok(8));
    // A future that is never polled does not count as a call.
    drop(block(1));
    assert_eq!(recorded("future-block"), (2.0, 1.0));
    assert_eq!(now(statements("abc")), 3);
    assert_eq!(recorded("future-statements"), (1.0, 0.0));
    assert_eq!(now(other(0)), Err(Failed));
    assert_eq!(recorded("future-other"), (1.0, 1.0));
    assert!(now(boxed_error(0)).is_err());
    assert_eq!(recorded("future-error"), (1.0, 1.0));
}

#[test]
fn functions_that_return_futures_drop_temporaries_as_their_edition_does() {
    struct Noted<'a>(&'a RefCell<Vec<&'static str>>, &'static str);
    impl Noted<'_> {
        fn len(&self) -> usize {
            self.1.len()
        }
    }
    impl Drop for Noted<'_> {
        fn drop(&mut self) {
            self.0.borrow_mut().push(self.1);
        }
    }
    fn plain<'a>(order: &'a RefCell<Vec<&'static str>>) -> impl Future<Output = usize> + 'a {
        async move {
            let _variable = Noted(order, "variable");
            Noted(order, "temporary").len()
        }
    }
    #[instrument("future-temporaries")]
    fn annotated<'a>(order: &'a RefCell<Vec<&'static str>>) -> impl Future<Output = usize> + 'a {
        async move {
            let _variable = Noted(order, "variable");
            Noted(order, "temporary").len()
        }
    }
    fn plain_other<'a>(order: &'a RefCell<Vec<&'static str>>) -> impl Future<Output = usize> + 'a {
        let _variable = Noted(order, "variable");
        std::future::ready(Noted(order, "temporary").len())
    }
    #[instrument("future-temporaries")]
    fn annotated_other<'a>(order: &'a RefCell<Vec<&'static str>>) -> impl Future<Output = usize> + 'a {
        let _variable = Noted(order, "variable");
        std::future::ready(Noted(order, "temporary").len())
    }
    let [one, other] = [RefCell::default(), RefCell::default()];
    assert_eq!(now(plain(&one)), now(annotated(&other)));
    assert_eq!(one, other);
    assert_eq!(one.take().len(), 2);
    other.take();
    assert_eq!(now(plain_other(&one)), now(annotated_other(&other)));
    assert_eq!(one, other);
    assert_eq!(one.take().len(), 2);
}

#[test]
fn functions_that_return_boxed_futures() {
    type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

    #[instrument("boxed-block")]
    fn block(n: u32) -> Pin<Box<dyn Future<Output = Result<u32, Box<dyn Error + Send + Sync>>> + Send>> {
        Box::pin(async move {
            yielding().await;
            if n == 0 {
                return Err(Box::new(Failed) as Box<dyn Error + Send + Sync>);
            }
            Ok(n + "7".parse::<u32>()?)
        })
    }
    #[instrument("boxed-alias")]
    fn alias<'a>(text: &'a str) -> Later<'a, Result<usize, Box<dyn Error>>> {
        let len = text.len();
        Box::pin(async move {
            if len == 0 {
                return Err(Box::new(Failed));
            }
            Ok(len)
        })
    }
    #[instrument("boxed-early")]
    fn early(n: u32) -> futures_util::future::LocalBoxFuture<'static, u32> {
        if n == 0 {
            return Box::pin(std::future::ready(0));
        }
        Box::pin(async move { n + 1 })
    }
    #[instrument("boxed-method")]
    fn method(n: u32) -> futures_util::future::BoxFuture<'static, u32> {
        use futures_util::FutureExt;
        async move { n }.boxed()
    }
    struct Service;
    trait Call {
        type Future: Future;
        fn call(&mut self, n: u32) -> Self::Future;
    }
    impl Call for Service {
        type Future = Later<'static, Outcome<u32>>;

        #[instrument("boxed-associated")]
        fn call(&mut self, n: u32) -> Self::Future {
            let doubled = n * 2;
            Box::pin(async move {
                yielding().await;
                if doubled == 0 { Err(Failed) } else { Ok(doubled) }
            })
        }
    }
    assert!(now(block(0)).is_err());
    assert_eq!(now(block(1)).expect("a number"), 8);
    assert_eq!(recorded("boxed-block"), (2.0, 1.0));
    assert!(now(alias("")).is_err());
    assert_eq!(recorded("boxed-alias"), (1.0, 1.0));
    assert_eq!((now(early(0)), now(early(1))), (0, 2));
    assert_eq!(recorded("boxed-early"), (2.0, 0.0));
    assert_eq!(now(method(3)), 3);
    assert_eq!(recorded("boxed-method"), (1.0, 0.0));
    assert_eq!(now(Service.call(0)), Err(Failed));
    assert_eq!(recorded("boxed-associated"), (1.0, 1.0));
}

trait Captures<'a> {}
impl<'a, T: ?Sized> Captures<'a> for T {}

macro_rules! of_type {
    ($name:ident, $path:literal, $ty:ty) => {
        #[instrument($path)]
        fn $name(n: u32) -> $ty {
            async move {
                yielding().await;
                n
            }
        }
    };
}

#[test]
fn futures_with_other_bounds_and_in_other_boxes() {
    #[instrument("future-captures")]
    fn captures<'a>(text: &'a str) -> impl Future<Output = usize> + Captures<'a> {
        async move { text.len() }
    }
    of_type!(by_macro, "future-by-macro", impl Future<Output = u32>);
    #[instrument("future-boxed-impl")]
    fn boxed_impl() -> Pin<Box<impl Future<Output = u32>>> {
        Box::pin(async move { 1 })
    }
    #[instrument("future-boxed-output")]
    fn boxed_output() -> futures_util::future::BoxFuture<'static, impl Debug> {
        Box::pin(async move { 1 })
    }
    #[instrument("future-rule", exception_if = |out: &u32| *out > limit)]
    fn rule(limit: u32) -> Pin<Box<dyn Future<Output = u32>>> {
        let doubled = if limit != 0 { limit * 2 } else { !0 };
        Box::pin(async move { doubled })
    }
    assert_eq!(now(captures("abc")), 3);
    assert_eq!(now(by_macro(4)), 4);
    assert_eq!(now(boxed_impl()), 1);
    now(boxed_output());
    assert_eq!(now(rule(1)), 2);
    // A future that is never polled does not count as a call.
    drop((captures(""), by_macro(0), boxed_impl(), boxed_output(), rule(0)));
    for path in ["future-captures", "future-by-macro", "future-boxed-impl", "future-boxed-output"].iter() {
        assert_eq!(recorded(path), (1.0, 0.0), "{}", path);
    }
    assert_eq!(recorded("future-rule"), (1.0, 1.0));
}

#[test]
fn a_returned_future_that_is_dropped_or_panics() {
    #[instrument("future-pending")]
    fn pending() -> impl Future<Output = ()> {
        std::future::pending()
    }
    #[instrument("future-panics")]
    fn panics() -> Pin<Box<dyn Future<Output = ()>>> {
        Box::pin(async move { panic!("in the future") })
    }
    #[instrument("making-panics")]
    fn making_panics(text: &str) -> impl Future<Output = ()> {
        let number: u32 = text.parse().expect("a number");
        async move { drop(number) }
    }
    let mut future = Box::pin(pending());
    assert!(future.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(future);
    assert_eq!((recorded("future-pending"), cancelled("future-pending")), ((1.0, 0.0), 1.0));
    assert!(catch_unwind(AssertUnwindSafe(|| now(panics()))).is_err());
    assert_eq!((recorded("future-panics"), cancelled("future-panics")), ((1.0, 1.0), 0.0));
    assert!(catch_unwind(AssertUnwindSafe(|| drop(making_panics("x")))).is_err());
    assert_eq!((recorded("making-panics"), cancelled("making-panics")), ((1.0, 1.0), 0.0));
    now(making_panics("1"));
    assert_eq!(recorded("making-panics"), (2.0, 1.0));
}
