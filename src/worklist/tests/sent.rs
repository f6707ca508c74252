//! Orders that are sent to us instead of being asked for, and files that are being written.

use std::fs;

use super::*;

#[tokio::test]
async fn orders_that_are_sent_prove_nothing_of_others() {
    let none = Worklist::new(Vec::new(), options(), clock());
    assert!(none.ask(&broad()).await.is_err(), "nobody is asked and nobody sends");
    let list = Worklist::new(Vec::new(), options(), clock()).fed();
    let answer = list.ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), answer.completeness), (0, Completeness::Incomplete));
    let key = LocalKey::new("hl7 1").unwrap();
    let set = entry("1", "A1", "Müller^Eva");
    list.local()
        .put(&key, Entry::read(&set, &reading(), &Origin::Local(key.clone())).unwrap())
        .unwrap();
    let answer = list.ask(&broad()).await.unwrap();
    assert_eq!((answer.items.len(), answer.completeness), (1, Completeness::Incomplete));
    let item = answer.items[0].clone();
    assert!(list.reread(&item).await.unwrap() == Some(item.clone()));
    list.local().remove(&key).unwrap();
    assert!(list.reread(&item).await.unwrap().is_none(), "a cancelled order is gone");
}

#[tokio::test]
async fn a_file_that_is_being_written_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("1.wl");
    let whole = entry("1", "A1", "Müller^Eva").write(Syntax::ExplicitLittle);
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let writer = tokio::spawn(async move {
        for part in [2, 3] {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let until = if part == 3 { whole.len() } else { whole.len() * 2 / 3 };
            fs::write(&file, &whole[..until]).unwrap();
        }
    });
    let list =
        Worklist::new(vec![Source::Folder { path: folder.path().to_owned() }], options(), clock());
    let answer = list.ask(&broad()).await.unwrap();
    writer.await.unwrap();
    assert_eq!(
        (answer.items.len(), answer.completeness),
        (1, Completeness::Complete),
        "{:?}",
        answer.notes
    );
    // Changes are seen without a restart.
    fs::write(folder.path().join("2.wl"), entry("2", "A2", "X^Y").write(Syntax::ExplicitLittle))
        .unwrap();
    assert_eq!(list.ask(&broad()).await.unwrap().items.len(), 2);
    fs::remove_file(folder.path().join("1.wl")).unwrap();
    assert_eq!(list.ask(&broad()).await.unwrap().items.len(), 1);
}
