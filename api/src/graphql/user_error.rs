//! Errors that a user can mend: one type a mutation, alike but for the codes, and the interface of all of
//! them.

use std::{borrow::Cow, fmt};

use async_graphql::{
    OutputType, SimpleObject, TypeName,
    indexmap::{IndexMap, IndexSet},
    registry::{MetaType, Registry},
};

/// The codes of a mutation's errors. [`user_error!`] makes them.
pub trait ErrorCode: OutputType + Copy + fmt::Debug + 'static {
    /// The name of the error type.
    const ERROR: &'static str;
    /// The input does not parse.
    const INVALID: Self;
    /// Unknown, or another tenant's.
    const NOT_FOUND: Self;
}

/// The code of each refusal of an operation.
pub trait CodeOf<R>: ErrorCode {
    /// The code of a refusal.
    fn of(refusal: R) -> Self;

    /// How long to wait, in seconds, if the refusal is to wait.
    fn wait_secs(_refusal: R) -> Option<u32> {
        None
    }
}

/// Why the mutation changed nothing, or what to mend.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(name_type)]
pub struct UserError<C: ErrorCode> {
    /// For people, in English. Show it, do not compare it.
    pub message: String,
    /// The way to the input field that it is about, such as `["lines", "0", "units"]`; empty for the whole
    /// input.
    pub path: Vec<String>,
    /// For programs.
    pub code: C,
}

impl<C: ErrorCode> TypeName for UserError<C> {
    fn type_name() -> Cow<'static, str> {
        C::ERROR.into()
    }
}

/// An error type, asked for its codes.
pub trait Coded {
    /// The codes.
    type Code: ErrorCode;
}

impl<C: ErrorCode> Coded for UserError<C> {
    type Code = C;
}

/// Makes the error type of a mutation and its codes from a refusal enum of `domain`, matched exhaustively.
///
/// ```text
/// user_error!(DropCancelError, DropCancelErrorCode, CancelDropRefusal {
///     AlreadyCancelled: "The drop was cancelled before.",
/// } not_found: NotFound);
/// ```
///
/// The codes `INVALID` and `NOT_FOUND` are always there; the refusal that means the latter stands behind
/// `not_found:`. A refusal that says in `wait_secs` how long to wait stands behind `wait:`. A code whose
/// refusal is one of an enum within the refusals has it in parentheses: `NotShippedThere
/// (Quote(QuoteRefusal::NotShippedThere)): "…"`.
macro_rules! user_error {
    (@pattern $refusal:ident $variant:ident) => { $refusal::$variant { .. } };
    (@pattern $refusal:ident $variant:ident ($($within:tt)+)) => { $refusal::$($within)+ };
    (
        $error:ident, $code:ident,
        $refusal:ident { $($variant:ident $(($($within:tt)+))?: $doc:literal),* $(,)? } $(not_found: $missing:ident)?
    ) => {
        user_error!(@code $error, $code, $refusal { $($variant $(($($within)+))?: $doc),* } [$($missing)?] {});
    };
    (
        $error:ident, $code:ident,
        $refusal:ident { $($variant:ident: $doc:literal),* $(,)? } wait: $wait:ident = $wait_doc:literal
    ) => {
        user_error!(@code $error, $code, $refusal { $($variant: $doc,)* $wait: $wait_doc } [] {
            fn wait_secs(refusal: $refusal) -> Option<u32> {
                match refusal {
                    $refusal::$wait { wait_secs } => Some(wait_secs),
                    $($refusal::$variant => None,)*
                }
            }
        });
    };
    (
        @code $error:ident, $code:ident,
        $refusal:ident { $($variant:ident $(($($within:tt)+))?: $doc:literal),* } [$($missing:ident)?] { $($wait_secs:item)? }
    ) => {
        #[doc = concat!("What `", stringify!($error), "` can be about. Codes are contract; messages are not.")]
        #[derive(async_graphql::Enum, Debug, Copy, Clone, Eq, PartialEq)]
        pub enum $code {
            /// The input cannot be read: a malformed id, a text that is too long, an amount with too many
            /// decimals. The message says what.
            Invalid,
            /// There is no such thing, or it is not yours.
            NotFound,
            $(#[doc = $doc] $variant,)*
        }

        #[doc = concat!("An error with a `", stringify!($code), "`.")]
        pub type $error = crate::graphql::user_error::UserError<$code>;

        impl crate::graphql::user_error::ErrorCode for $code {
            const ERROR: &'static str = stringify!($error);
            const INVALID: Self = Self::Invalid;
            const NOT_FOUND: Self = Self::NotFound;
        }

        impl crate::graphql::user_error::CodeOf<$refusal> for $code {
            fn of(refusal: $refusal) -> Self {
                match refusal {
                    $($refusal::$missing => Self::NotFound,)?
                    $(user_error!(@pattern $refusal $variant $(($($within)+))?) => Self::$variant,)*
                }
            }

            $($wait_secs)?
        }
    };
}
pub(crate) use user_error;

const NAME: &str = "UserError";
const DESCRIPTION: &str = "Why a mutation changed nothing, in a form that its user can act on. Each mutation has an error type of its own with a `code`.";

/// Adds the interface of all errors to a schema that is otherwise complete: every object type whose name ends
/// in `Error` and that has the two fields implements it.
pub(super) fn add_interface(registry: &mut Registry) {
    let mut fields = IndexMap::new();
    let mut errors = IndexSet::new();
    for known in registry.types.values() {
        let MetaType::Object { name, fields: own, .. } = known else { continue };
        let (Some(message), Some(path)) = (own.get("message"), own.get("path")) else { continue };
        if name.ends_with("Error") {
            fields.insert(message.name.clone(), message.clone());
            fields.insert(path.name.clone(), path.clone());
            errors.insert(name.clone());
        }
    }
    for error in &errors {
        registry.add_implements(error, NAME);
    }
    let interface = MetaType::Interface {
        name: NAME.to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        fields,
        possible_types: errors,
        extends: false,
        keys: None,
        visible: None,
        inaccessible: false,
        tags: Vec::new(),
        rust_typename: None,
        directive_invocations: Vec::new(),
        requires_scopes: Vec::new(),
    };
    registry.types.insert(NAME.to_owned(), interface);
}
