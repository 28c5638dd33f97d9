//! [`Sight`]: the part of the catalogue that a viewer may see.

use sea_orm::{ColumnTrait, Condition};

use crate::platform::{
    access::{Browse, CreatorScope, Denied, Manage, Permission, PublicScope, SystemScope, Viewer, authorize},
    ids::CreatorId,
};

/// The published things within a public scope, plus everything of some creators, including archived things
/// and drafts.
///
/// Data loaders read things of many creators at once for one viewer. A single scope cannot express that.
#[derive(Debug, Clone)]
pub struct Sight {
    public: PublicScope,
    own: Vec<CreatorId>,
    everything: bool,
}

impl Sight {
    /// Creates a sight of published things only.
    pub fn public(scope: &PublicScope) -> Self {
        Self { public: *scope, own: Vec::new(), everything: false }
    }

    /// Adds everything of the scope's creator.
    pub fn and_own(mut self, scope: &CreatorScope) -> Self {
        self.own.push(scope.creator());
        self
    }

    /// Creates a sight of everything.
    pub fn system(_scope: &SystemScope) -> Result<Self, Denied> {
        let public = authorize(&Viewer::Public, Browse)?;
        Ok(Self { public, own: Vec::new(), everything: true })
    }

    /// Returns the sight of a viewer: the published things, and everything of the creators that the viewer
    /// may read for.
    pub fn of_viewer(viewer: &Viewer) -> Result<Self, Denied> {
        let mut sight = Self::public(&authorize(viewer, Browse)?);
        let creators: Vec<CreatorId> = match viewer {
            Viewer::Account(account) => account.memberships.iter().map(|(creator, _)| *creator).collect(),
            Viewer::Token(token) => token.creator.into_iter().collect(),
            Viewer::Public | Viewer::Guest(..) => Vec::new(),
        };
        for creator in creators {
            if let Ok(scope) = authorize(viewer, Manage { creator, permission: Permission::CatalogRead }) {
                sight = sight.and_own(&scope);
            }
        }
        Ok(sight)
    }

    /// Returns the public scope, for things without a hidden part.
    pub fn public_scope(&self) -> &PublicScope {
        &self.public
    }

    /// Returns whether the viewer sees everything of a creator, including hidden things.
    pub fn sees_hidden_of(&self, creator: CreatorId) -> bool {
        self.everything || self.own.contains(&creator)
    }

    /// Returns the condition for rows that only those who may read for their creator see.
    pub(crate) fn hidden(&self, creator: impl ColumnTrait) -> Condition {
        let all = Condition::all();
        if self.everything { all } else { all.add(creator.is_in(self.own.iter().copied())) }
    }

    /// Returns the condition for rows that are `published`, or belong to the viewer's own creators.
    pub(crate) fn condition(&self, creator: impl ColumnTrait, published: Condition) -> Condition {
        if self.everything {
            return Condition::all();
        }
        let public = match self.public.creator() {
            Some(only) => Condition::all().add(creator.eq(only)).add(published),
            None => published,
        };
        if self.own.is_empty() {
            public
        } else {
            Condition::any().add(public).add(creator.is_in(self.own.iter().copied()))
        }
    }
}
