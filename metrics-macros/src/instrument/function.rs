//! Parses the annotated item. The body is not parsed, so that completion works in unfinished code.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Error, Generics, Signature, Token, Visibility};

use super::future;
use super::model::Function;

const GOES_ON: &str = "`#[instrument]` applies only to functions, methods and `impl` blocks";

/// The reason an item cannot be instrumented.
pub(super) enum Unusable {
    /// The item does not parse. The macro leaves syntax errors to the compiler, which explains them better.
    Unparsed,
    /// The item is not a function, or is a function that cannot record metrics.
    NoFunction(Error),
}

/// Parses the function. `block_generics` are the generics of the `impl` block if the attribute is on the block.
pub(super) fn parse(item: TokenStream, block_generics: Option<&Generics>) -> Result<Function, Unusable> {
    if let Some(error) = other_item(&item) {
        return Err(Unusable::NoFunction(error));
    }
    let Ok(item) = Item::parse.parse2(item.clone()) else {
        return Err(match syn::parse2::<syn::Item>(item) {
            Ok(syn::Item::Fn(_) | syn::Item::Verbatim(_)) | Err(_) => Unusable::Unparsed,
            Ok(other) => Unusable::NoFunction(Error::new_spanned(other, GOES_ON)),
        });
    };
    if let Some(constness) = item.sig.constness {
        let message = "a `const fn` cannot record metrics: remove `const`, or put `#[instrument]` on its caller";
        return Err(Unusable::NoFunction(Error::new(constness.span, message)));
    }
    match item.body {
        Body::Block { block, inner } => {
            let mut attrs = item.attrs;
            attrs.extend(inner);
            let body = block.stream();
            let future = match item.sig.asyncness {
                Some(_) => None,
                None => future::find(&item.sig, block_generics, &body),
            };
            let block_generics = block_generics.cloned();
            Ok(Function { attrs, vis: item.vis, sig: item.sig, block, body, block_generics, future })
        }
        Body::None(semicolon) => {
            let message = "a method without a body cannot record metrics: put `#[instrument]` on its implementations";
            Err(Unusable::NoFunction(Error::new(semicolon.span, message)))
        }
    }
}

struct Item {
    attrs: Vec<Attribute>,
    vis: Visibility,
    sig: Signature,
    body: Body,
}

enum Body {
    Block { block: Group, inner: Vec<Attribute> },
    None(Token![;]),
}

impl Parse for Item {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let sig = input.parse()?;
        if let Some(semicolon) = input.parse::<Option<Token![;]>>()? {
            return Ok(Self { attrs, vis, sig, body: Body::None(semicolon) });
        }
        let block = braced(input)?;
        let (inner, body) = split_inner_attributes.parse2(block.stream())?;
        let block = if inner.is_empty() { block } else { with_stream(&block, body) };
        Ok(Self { attrs, vis, sig, body: Body::Block { block, inner } })
    }
}

/// Parses a block, which may be inside the invisible delimiters of a `$body:block` fragment.
fn braced(input: ParseStream<'_>) -> syn::Result<Group> {
    match input.parse()? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => Ok(group),
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => braced.parse2(group.stream()),
        other => Err(Error::new(other.span(), "expected a block")),
    }
}

/// Returns a copy of `group` with `stream` inside its delimiters.
pub(super) fn with_stream(group: &Group, stream: TokenStream) -> Group {
    let mut filled = Group::new(group.delimiter(), stream);
    filled.set_span(group.span());
    filled
}

/// Separates the inner attributes from a body and converts them to outer attributes of the function. The emitted body
/// is nested in another block, where inner attributes would no longer apply to the function.
fn split_inner_attributes(input: ParseStream<'_>) -> syn::Result<(Vec<Attribute>, TokenStream)> {
    let mut inner = input.call(Attribute::parse_inner)?;
    for attribute in &mut inner {
        attribute.style = syn::AttrStyle::Outer;
    }
    Ok((inner, input.parse()?))
}

/// Returns an error if the item is clearly not a function.
fn other_item(item: &TokenStream) -> Option<Error> {
    let find = |input: ParseStream<'_>| {
        input.call(Attribute::parse_outer)?;
        input.parse::<Visibility>()?;
        let is_fn = input.peek(Token![fn])
            || input.peek(Token![async])
            || input.peek(Token![unsafe]) && !input.peek2(Token![impl]) && !input.peek2(Token![trait])
            || input.peek(Token![extern]) && !input.peek2(Token![crate])
            || input.peek(Token![const]) && !input.peek2(syn::Ident) && !input.peek2(Token![_]);
        let first: TokenTree = input.parse()?;
        input.parse::<TokenStream>()?;
        Ok((!is_fn).then_some(first))
    };
    let first = find.parse2(item.clone()).ok()??;
    let message = match first.to_string().as_str() {
        "mod" | "trait" => "`#[instrument]` does not apply to modules or traits: put it on the functions inside",
        "struct" | "enum" | "union" | "type" | "static" | "const" | "use" | "unsafe" | "extern" | "macro_rules" => {
            GOES_ON
        }
        // Leave the error to the compiler because the item may be unfinished or use unknown syntax.
        _ => return None,
    };
    Some(Error::new(first.span(), message))
}
