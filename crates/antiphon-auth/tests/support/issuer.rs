//! An issuer's key server that answers as a test wants it to.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use antiphon_auth::{Jwks, JwksSource};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

#[derive(Clone)]
pub enum Behaviour {
    /// Status and body.
    Answers(u16, String),
    /// A redirect to there.
    Redirects(String),
    /// Takes the request and says nothing.
    Silent,
    /// A body without end.
    Endless,
}

pub struct Issuer {
    pub url: String,
    pub asked: Arc<AtomicUsize>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Issuer {
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let behaviour = Arc::new(Mutex::new(behaviour));
        let asked = Arc::new(AtomicUsize::new(0));
        let (seen, answers) = (asked.clone(), behaviour.clone());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                let now = answers.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    serve(socket, now).await
                });
            }
        });
        Self { url, asked, behaviour }
    }

    pub fn now(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A cache of it that is never too patient for a test.
    pub fn jwks(&self, min_interval: Duration) -> Jwks {
        let mut source = JwksSource::new(self.url.parse().unwrap());
        source.timeout = Duration::from_millis(300);
        source.max_bytes = 16 * 1024;
        source.min_interval = min_interval;
        Jwks::new(source).unwrap()
    }
}

async fn serve(mut socket: tokio::net::TcpStream, behaviour: Behaviour) {
    let head = |status: u16, more: &str| format!("HTTP/1.1 {status} x\r\nconnection: close\r\n{more}\r\n");
    match behaviour {
        Behaviour::Answers(status, body) => {
            let answer = head(status, &format!("content-length: {}\r\n", body.len())) + &body;
            let _ = socket.write_all(answer.as_bytes()).await;
        }
        Behaviour::Redirects(to) => {
            let answer = head(302, &format!("location: {to}\r\ncontent-length: 0\r\n"));
            let _ = socket.write_all(answer.as_bytes()).await;
        }
        Behaviour::Silent => {
            let _ = socket.read(&mut [0; 1]).await;
        }
        Behaviour::Endless => {
            let _ = socket.write_all(head(200, "content-length: 99999999999\r\n").as_bytes()).await;
            while socket.write_all(&[b' '; 4096]).await.is_ok() {}
        }
    }
}
