impl Method {
    /// The label values, in the order of the variants.
    pub(crate) const VALUES: [&'static str; 3usize] = ["GET", "POST", "other"];
}
#[automatically_derived]
impl ::metrics_core::LabelValue for Method {
    const VALUES: ::core::option::Option<&'static [&'static str]> = ::core::option::Option::Some(
        &Self::VALUES,
    );
    fn label(&self) -> ::metrics_core::Label<'_> {
        ::metrics_core::__private::closed(
            &Self::VALUES,
            match self {
                Self::Get => 0usize,
                Self::Post => 1usize,
                Self::Unknown => 2usize,
            },
        )
    }
}
