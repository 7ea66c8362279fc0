//! Futures that are polled when the simulation says so. A task can be chosen only after it was woken, so a wake-up that is lost shows as a
//! task that waits for ever.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use parking_lot::Mutex;

/// The tasks, in the order in which they were spawned.
#[derive(Default)]
pub(crate) struct Tasks(Mutex<Vec<Task>>);

struct Task {
    name: String,
    woken: Arc<Woken>,
    future: Pin<Box<dyn Future<Output = ()> + Send>>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Tasks {
    pub(crate) fn spawn(&self, name: String, future: impl Future<Output = ()> + Send + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.0.lock().push(Task { name, woken, future: Box::pin(future) });
    }

    /// Indexes of the tasks that can go on.
    pub(crate) fn runnable(&self) -> Vec<usize> {
        let tasks = self.0.lock();
        (0..tasks.len()).filter(|index| tasks[*index].woken.0.load(Ordering::Relaxed)).collect()
    }

    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.0.lock().iter().any(|task| task.name == name)
    }

    pub(crate) fn name(&self, index: usize) -> String {
        self.0.lock()[index].name.clone()
    }

    /// Polls a task once, and lets go of it when it has ended.
    pub(crate) fn poll(&self, index: usize) {
        let mut tasks = self.0.lock();
        let task = &mut tasks[index];
        task.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.woken));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            drop(tasks.remove(index));
        }
    }

    /// Drops all of them where they stand.
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }
}

/// Lets others go first.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|context| {
        if std::mem::replace(&mut paused, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The answer of a future, with `work` done as long as it is not there.
pub(crate) fn drive<T>(future: impl Future<Output = T>, mut work: impl FnMut() -> bool) -> T {
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(answer) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return answer;
        }
        assert!(work(), "an answer waits for work that nobody has");
    }
}
