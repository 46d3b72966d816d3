//! The families of a registry by name, and the sample names that they occupy.
//!
//! Annotated functions may record into one family with different labels, because the exposition formats allow the
//! series of a family to have different label names. Such a family consists of a member and its variants, each with a
//! different set of label names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::collect::runs::Runs;
use crate::error::{Error, Owner};
use crate::family::declaration::sample_names;
use crate::family::{FamilyCore, FamilyDeclaration};
use crate::kind::Kind;
use crate::sample::Value;

/// A family of a registry: either stored series, or a callback that each scrape calls for its value.
#[derive(Clone)]
pub(crate) enum Member {
    Family(Arc<FamilyCore>),
    Callback(Arc<Callback>),
}

/// An unlabeled metric whose value is returned by a callback.
pub(crate) struct Callback {
    pub(crate) core: FamilyCore,
    pub(crate) value: Box<dyn Fn() -> Value<'static> + Send + Sync>,
    pub(crate) runs: Runs<Value<'static>>,
}

impl Member {
    pub(crate) fn core(&self) -> &FamilyCore {
        match self {
            Self::Family(core) => core,
            Self::Callback(callback) => &callback.core,
        }
    }

    pub(crate) fn owner(&self) -> Owner {
        let FamilyDeclaration { name, location, .. } = self.declaration();
        let name = name.clone();
        match self {
            Self::Family(_) => Owner::Family { name, location: Some(location) },
            Self::Callback(_) => Owner::Callback { name, location },
        }
    }

    fn declaration(&self) -> &FamilyDeclaration {
        &self.core().declaration
    }
}

/// The families of a registry.
#[derive(Default)]
pub(crate) struct Members {
    by_name: BTreeMap<String, Member>,
    /// Families that share a member's name but have different labels, keyed by that name.
    variants: BTreeMap<String, Vec<Arc<FamilyCore>>>,
    /// Maps each sample name to the family that it belongs to.
    taken: HashMap<String, String>,
}

impl Members {
    /// Reserves the names of the families that a scrape computes itself.
    pub(crate) fn reserve(&mut self, names: [(&str, Kind); 3]) {
        for (name, kind) in names {
            for sample in sample_names(name, kind) {
                self.taken.insert(sample, name.to_owned());
            }
        }
    }

    /// Returns the registered family that equals `given`, or `None` if the names of `given` are free. Returns an error
    /// if a different family has its name, or if one of its sample names is taken.
    pub(crate) fn same_as(&self, given: &FamilyDeclaration) -> Result<Option<&Member>, Error> {
        if let Some(member) = self.by_name.get(&given.name) {
            member.declaration().compare(given)?;
            return Ok(Some(member));
        }
        match given.sample_names().find_map(|sample| Some((self.owner_of(&sample)?, sample))) {
            Some((owner, sample)) => Err(Error::NameTaken { name: given.name.clone(), sample, owner }),
            None => Ok(None),
        }
    }

    /// Adds a family whose names are free according to [`Members::same_as`].
    pub(crate) fn add(&mut self, member: Member) {
        let name = member.declaration().name.clone();
        for sample in member.declaration().sample_names() {
            self.taken.insert(sample, name.clone());
        }
        self.by_name.insert(name, member);
    }

    pub(crate) fn remove(&mut self, name: &str) -> Option<Member> {
        let removed = self.by_name.remove(name)?;
        self.variants.remove(name);
        self.taken.retain(|_, family| family != name);
        Some(removed)
    }

    /// Returns the owner of the first sample name that is already taken, if any, for a collected family with this name
    /// and type.
    pub(crate) fn clash(&self, name: &str, kind: Kind) -> Option<Owner> {
        sample_names(name, kind).find_map(|sample| self.owner_of(&sample))
    }

    fn owner_of(&self, sample: &str) -> Option<Owner> {
        let family = self.taken.get(sample)?;
        // The families that a scrape computes itself are not members.
        let own = || Owner::Family { name: family.clone(), location: None };
        Some(self.by_name.get(family).map_or_else(own, Member::owner))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Member> {
        self.by_name.get(name)
    }

    /// Returns the families that share this member's name but have different labels, in registration order.
    pub(crate) fn variants(&self, name: &str) -> &[Arc<FamilyCore>] {
        self.variants.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds a family that shares a member's name but has different labels from the member and its variants.
    pub(crate) fn add_variant(&mut self, core: Arc<FamilyCore>) {
        self.variants.entry(core.declaration.name.clone()).or_default().push(core);
    }

    /// Removes this family, unless it is the main one of several with the same name.
    pub(crate) fn withdraw(&mut self, core: &Arc<FamilyCore>) {
        let name = &core.declaration.name;
        if let Some(variants) = self.variants.get_mut(name) {
            variants.retain(|variant| !Arc::ptr_eq(variant, core));
            if variants.is_empty() {
                self.variants.remove(name);
            }
        } else if let Some(Member::Family(main)) = self.by_name.get(name)
            && Arc::ptr_eq(main, core)
        {
            self.remove(name);
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Returns all families in name order, each with its variants.
    pub(crate) fn with_variants(&self) -> Vec<(Member, Vec<Arc<FamilyCore>>)> {
        self.by_name.iter().map(|(name, member)| (member.clone(), self.variants(name).to_vec())).collect()
    }

    /// Returns all families in name order, without their variants.
    pub(crate) fn all(&self) -> Vec<Member> {
        self.by_name.values().cloned().collect()
    }
}
