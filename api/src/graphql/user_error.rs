//! Errors that a user can fix. Each mutation has its own error type; the types differ only in their codes,
//! and share one interface.

use std::{borrow::Cow, fmt};

use async_graphql::{
    OutputType, SimpleObject, TypeName,
    indexmap::{IndexMap, IndexSet},
    registry::{MetaType, Registry},
};

/// The error codes of a mutation. [`user_error!`] makes them.
pub trait ErrorCode: OutputType + Copy + fmt::Debug + 'static {
    /// The name of the error type.
    const ERROR: &'static str;
    /// The code for input that does not parse.
    const INVALID: Self;
    /// The code for a thing that does not exist, or belongs to another tenant.
    const NOT_FOUND: Self;
}

/// A mapping from the refusals of a domain function to error codes.
pub trait CodeOf<R>: ErrorCode {
    /// Returns the code of a refusal.
    fn of(refusal: R) -> Self;

    /// Returns how long to wait, in seconds, if the refusal asks the client to wait.
    fn wait_secs(_refusal: R) -> Option<u32> {
        None
    }
}

/// The reason why a mutation changed nothing, and what the user can fix.
#[derive(SimpleObject, Debug, Clone)]
#[graphql(name_type)]
pub struct UserError<C: ErrorCode> {
    /// A message for people, in English. Show it, but do not compare it.
    pub message: String,
    /// The path to the input field that the error is about, such as `["lines", "0", "units"]`. Empty if the
    /// error is about the whole input.
    pub path: Vec<String>,
    /// A code for programs.
    pub code: C,
}

impl<C: ErrorCode> TypeName for UserError<C> {
    fn type_name() -> Cow<'static, str> {
        C::ERROR.into()
    }
}

/// A trait that leads from an error type to its codes.
pub trait Coded {
    /// The codes.
    type Code: ErrorCode;
}

impl<C: ErrorCode> Coded for UserError<C> {
    type Code = C;
}

/// Makes the error type of a mutation and its codes from a refusal enum of `domain`. The match is exhaustive.
///
/// ```text
/// user_error!(DropCancelError, DropCancelErrorCode, CancelDropRefusal {
///     AlreadyCancelled: "The drop is cancelled already.",
/// } not_found: NotFound);
/// ```
///
/// Every error type has the codes `INVALID` and `NOT_FOUND`. The refusal that maps to `NOT_FOUND` follows
/// `not_found:`. A refusal that has the time to wait in its field `wait_secs` follows `wait:`. If a refusal
/// wraps another enum, the wrapped value follows the code in parentheses: `NotShippedThere
/// (Quote(QuoteRefusal::NotShippedThere)): "…"`.
macro_rules! user_error {
    (@pattern $refusal:ident $variant:ident) => { $refusal::$variant { .. } };
    (@pattern $refusal:ident $variant:ident ($($within:tt)+)) => { $refusal::$($within)+ };
    (
        $error:ident, $code:ident,
        $refusal:ident { $($variant:ident $(($($within:tt)+))?: $doc:literal),* $(,)? }
        $(not_found: $missing:ident)?
    ) => {
        user_error!(
            @code $error, $code, $refusal { $($variant $(($($within)+))?: $doc),* } [$($missing)?] {}
        );
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
        $refusal:ident { $($variant:ident $(($($within:tt)+))?: $doc:literal),* }
        [$($missing:ident)?] { $($wait_secs:item)? }
    ) => {
        #[doc = concat!(
            "The codes of `", stringify!($error), "`. Codes are part of the contract; messages are not."
        )]
        #[derive(async_graphql::Enum, Debug, Copy, Clone, Eq, PartialEq)]
        pub enum $code {
            /// The input does not parse, such as a malformed id, a text that is too long, or an amount with
            /// too many decimals. The message has the details.
            Invalid,
            /// There is no such object, or it is not yours.
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
const DESCRIPTION: &str = "The reason why a mutation changed nothing, in a form that the user can act on. \
    Each mutation has its own error type with a `code`.";

/// Adds the interface of all errors to an otherwise complete schema. Every object type with a name that ends
/// in `Error` and with the fields `message` and `path` implements it.
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
