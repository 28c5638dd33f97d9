//! [`Sight`]: how much of the catalogue somebody sees.

use sea_orm::{ColumnTrait, Condition};

use crate::platform::{
    access::{Browse, CreatorScope, Denied, Manage, Permission, PublicScope, SystemScope, Viewer, authorize},
    ids::CreatorId,
};

/// What is published within a public scope and, besides, everything of some creators, archived or drafted.
///
/// Data loaders read things of many creators at once for one viewer; a single scope does not say that.
#[derive(Debug, Clone)]
pub struct Sight {
    public: PublicScope,
    own: Vec<CreatorId>,
    everything: bool,
}

impl Sight {
    /// Published things only.
    pub fn public(scope: &PublicScope) -> Self {
        Self { public: *scope, own: Vec::new(), everything: false }
    }

    /// And all of that creator.
    pub fn and_own(mut self, scope: &CreatorScope) -> Self {
        self.own.push(scope.creator());
        self
    }

    /// All there is.
    pub fn system(_scope: &SystemScope) -> Result<Self, Denied> {
        let public = authorize(&Viewer::Public, Browse)?;
        Ok(Self { public, own: Vec::new(), everything: true })
    }

    /// All that a viewer may see: what is published, and everything of the creators that it may read for.
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

    /// The public scope, for what has no hidden part.
    pub fn public_scope(&self) -> &PublicScope {
        &self.public
    }

    /// Whether everything of that creator is seen, hidden things too.
    pub fn sees_hidden_of(&self, creator: CreatorId) -> bool {
        self.everything || self.own.contains(&creator)
    }

    /// As a condition: rows of a creator's table that nobody but those who may read for that creator sees.
    pub(crate) fn hidden(&self, creator: impl ColumnTrait) -> Condition {
        let all = Condition::all();
        if self.everything { all } else { all.add(creator.is_in(self.own.iter().copied())) }
    }

    /// As a condition: rows of a creator's table that are `published`, or of the viewer's own creators.
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
