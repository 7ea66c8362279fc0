//! Lists that come in pages.
//!
//! Invariant: a list ends when the server names no next page, and never by a count of the client's own.

use tonic::Status;

/// Fetches every page of a list. `page` asks for the one that a cursor names, the first being the cursor's default, and answers with its
/// items and the next cursor; that is the default again after the last page.
///
/// # Errors
/// What the first page answered that could not be had.
pub(crate) async fn all<T, C: Default + PartialEq>(
    mut page: impl AsyncFnMut(C) -> Result<(Vec<T>, C), Status>,
) -> Result<Vec<T>, Status> {
    let (mut items, mut next) = page(C::default()).await?;
    while next != C::default() {
        let (more, after) = page(next).await?;
        items.extend(more);
        next = after;
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn pages_are_joined_until_no_next_one_is_named() {
        let pages = [(vec![1, 2], "b"), (vec![], "c"), (vec![3], "")];
        let mut asked = Vec::new();
        let items = all(async |cursor: String| {
            let (items, next) = pages[asked.len()].clone();
            asked.push(cursor);
            Ok((items, next.to_owned()))
        });
        assert_eq!(items.await.unwrap(), [1, 2, 3]);
        assert_eq!(asked, ["", "b", "c"]);
    }

    #[tokio::test]
    async fn a_page_that_fails_fails_the_list() {
        let items = all(async |after: u64| match after {
            0 => Ok((vec![1], 7)),
            _ => Err(Status::unavailable("gone")),
        });
        assert!(items.await.is_err());
    }
}
