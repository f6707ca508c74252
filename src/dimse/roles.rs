//! SCU and SCP roles, as the acceptor answers them (PS3.7 D.3.3.4).

use dicom_dictionary_std::uids;
use dicom_ul::pdu::{RequestorRoles, UserVariableItem};

use super::negotiate::CONTEXT_LIMIT;
use super::{Classes, Context, Offer, is_known_storage, is_storage};
use crate::dicom::Uid;

/// The roles that a requestor wants, by class (PS3.7 D.3.3.4).
pub(super) struct Roles(Vec<(Uid, RequestorRoles)>);

impl Roles {
    pub(super) fn wanted(variables: &[UserVariableItem]) -> Self {
        let wanted = variables.iter().filter_map(|item| match item {
            UserVariableItem::ScuScpRoleSelectionSubItem(class, roles) => {
                Some((Uid::new(class.trim_end_matches(['\0', ' '])).ok()?, *roles))
            }
            _ => None,
        });
        Self(wanted.take(CONTEXT_LIMIT).collect())
    }

    /// What is wanted for a class; without a word, or with neither role, it is SCU.
    fn of(&self, class: &Uid) -> RequestorRoles {
        let says = |roles: &RequestorRoles| roles.scu || roles.scp;
        let wanted = self.0.iter().find(|(named, roles)| named == class && says(roles));
        wanted.map_or(RequestorRoles { scu: true, scp: false }, |(_, roles)| *roles)
    }

    pub(super) fn fit(&self, offer: &Offer, class: &Uid) -> bool {
        match &offer.classes {
            Classes::One(one) => one == class,
            Classes::AnyStorage => is_storage(class.as_str()) && self.of(class).scu,
            Classes::KnownStorage => is_known_storage(class.as_str()) && self.of(class).scu,
            Classes::AnyStorageTaken => is_storage(class.as_str()) && self.of(class).scp,
        }
    }

    /// The answers to the roles that were wanted, and the contexts in which the requestor is SCP.
    pub(super) fn answer(
        &self,
        offers: &[Offer],
        accepted: &[Context],
    ) -> (Vec<UserVariableItem>, Vec<u8>) {
        let offered = |class: &Uid, taken: bool| {
            offers.iter().any(|offer| {
                matches!(offer.classes, Classes::AnyStorageTaken) == taken && self.fit(offer, class)
            })
        };
        let is_accepted = |class: &Uid| accepted.iter().any(|context| context.sop_class == *class);
        let answers =
            self.0.iter().filter(|(class, _)| is_accepted(class)).map(|(class, wanted)| {
                let roles = match class.as_str() {
                    // What a peer may do with it is settled by what it is given to do.
                    uids::STORAGE_COMMITMENT_PUSH_MODEL => *wanted,
                    _ => RequestorRoles {
                        scu: wanted.scu && offered(class, false),
                        scp: wanted.scp && offered(class, true),
                    },
                };
                UserVariableItem::ScuScpRoleSelectionSubItem(class.as_str().to_owned(), roles)
            });
        let taken = |context: &&Context| {
            self.of(&context.sop_class).scp && offered(&context.sop_class, true)
        };
        (answers.collect(), accepted.iter().filter(taken).map(|context| context.id).collect())
    }
}
