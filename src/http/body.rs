//! Reading a request's body: whole, of a type we know, within a size and a time.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::time::Instant;

use super::error::{ApiError, Code};
use crate::limits;

/// What a body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/x-ndjson`: a document a line.
    JsonLines,
}

impl MediaType {
    /// The type that a request says its body is, whatever its parameters; a charset must be UTF-8, and 415 is the answer
    /// to all else, a missing type and a compressed body included.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let refuse = |message| Err(ApiError::new(Code::UnsupportedMediaType, message));
        if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
            return refuse("the body must not be compressed");
        }
        let Some(kind) = headers.get(header::CONTENT_TYPE) else {
            return refuse("the Content-Type must be application/json");
        };
        let mut parts = kind.to_str().unwrap_or_default().split(';');
        let essence = parts.next().unwrap_or_default().trim();
        let media_type = if essence.eq_ignore_ascii_case("application/json") {
            Self::Json
        } else if essence.eq_ignore_ascii_case("application/x-ndjson") {
            Self::JsonLines
        } else {
            return refuse("the Content-Type must be application/json");
        };
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("charset") && !value.eq_ignore_ascii_case("utf-8") {
                return refuse("the body must be UTF-8");
            }
        }
        Ok(media_type)
    }
}

/// Reads a JSON body of at most so many bytes; none is a 400.
pub async fn read_json(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match read_optional_json(headers, body, bytes_max).await? {
        Some(body) => Ok(body),
        None => Err(ApiError::invalid("the request needs a JSON body")),
    }
}

/// Reads a JSON body of at most so many bytes, where there may be none. Only a body has a type.
pub async fn read_optional_json(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Option<Bytes>, ApiError> {
    if body.is_end_stream() {
        return Ok(None);
    }
    if headers.contains_key(header::CONTENT_TYPE) && MediaType::of(headers)? != MediaType::Json {
        return Err(ApiError::new(
            Code::UnsupportedMediaType,
            "the Content-Type must be application/json here",
        ));
    }
    let body = read(headers, body, bytes_max).await?;
    if body.is_empty() {
        return Ok(None);
    }
    MediaType::of(headers)?;
    Ok(Some(body))
}

/// Reads a whole body: 413 beyond `bytes_max` (before anything is read, where its length is announced), 408 when it
/// comes too slowly, 400 when it breaks off.
pub async fn read(headers: &HeaderMap, body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).map(length).transpose()?;
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    collect(body, announced, bytes_max).await
}

/// How long all may take up to the next frame: a while however slow it is, and more for what has come.
pub(super) fn patience(bytes: usize) -> Duration {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    limits::BODY_READ + Duration::from_secs(1) * bytes / limits::BODY_BYTES_PER_SECOND_MIN
}

fn length(value: &HeaderValue) -> Result<usize, ApiError> {
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // hyper has refused what is no number; one that does not fit is too large for any limit.
    text.map(|text| text.parse().unwrap_or(usize::MAX))
        .ok_or_else(|| ApiError::at("Content-Length", "must be a number"))
}

fn too_large(bytes_max: usize) -> ApiError {
    ApiError::new(Code::PayloadTooLarge, format!("the body is larger than {bytes_max} bytes"))
}

fn too_slow() -> ApiError {
    let (patience, least) = (limits::BODY_READ, limits::BODY_BYTES_PER_SECOND_MIN);
    let message = format!("after {patience:?} the body came at less than {least} bytes a second");
    ApiError::new(Code::RequestTimeout, message)
}

async fn collect(mut body: Body, announced: Option<usize>, bytes_max: usize) -> Result<Bytes, ApiError> {
    let began = Instant::now();
    // Most bodies are one frame, which is handed on as it is.
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    loop {
        let until = began + patience(first.len() + all.len());
        let frame = tokio::time::timeout_at(until, body.frame()).await.map_err(|_| too_slow())?;
        let Some(frame) = frame else { break };
        let frame = frame.map_err(|_| ApiError::invalid("the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let so_far = first.len() + all.len();
        if so_far + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if so_far == 0 {
            first = data;
            continue;
        }
        if all.is_empty() {
            all.reserve(announced.unwrap_or(0).max(first.len() + data.len()));
            all.extend_from_slice(&std::mem::take(&mut first));
        }
        all.extend_from_slice(&data);
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures_util::StreamExt;
    use hyper::body::Frame;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    /// A body of these frames, which then never ends or ends.
    struct Frames(Vec<&'static str>, bool);

    impl hyper::body::Body for Frames {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            match self.0.is_empty() {
                false => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(self.0.remove(0).as_bytes()))))),
                true if self.1 => Poll::Ready(None),
                true => Poll::Pending,
            }
        }
    }

    fn frames(frames: &[&'static str]) -> Body {
        Body::new(Frames(frames.to_vec(), true))
    }

    #[test]
    fn json_is_read_with_any_parameters_and_nothing_else_is() {
        for kind in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
        ] {
            assert_eq!(MediaType::of(&headers(&[("content-type", kind)])), Ok(MediaType::Json), "{kind}");
        }
        let lines = MediaType::of(&headers(&[("content-type", "application/x-ndjson")]));
        assert_eq!(lines, Ok(MediaType::JsonLines));
        for wrong in [
            &[][..],
            &[("content-type", "")],
            &[("content-type", "text/plain")],
            &[("content-type", "application/jsonp")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[("content-type", "application/json; charset=latin1")],
            &[("content-type", "application/json"), ("content-encoding", "gzip")],
        ] {
            let error = MediaType::of(&headers(wrong)).unwrap_err();
            assert_eq!(error.code(), Code::UnsupportedMediaType, "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn a_body_is_read_whole_up_to_its_limit() {
        let json = headers(&[("content-type", "application/json")]);
        assert_eq!(read_json(&json, frames(&["{}"]), 2).await.unwrap(), "{}");
        assert_eq!(read_json(&json, frames(&["", "{", "", "}"]), 2).await.unwrap(), "{}");
        for body in [frames(&["{}}"]), frames(&["{", "}}"])] {
            assert_eq!(read_json(&json, body, 2).await.unwrap_err().code(), Code::PayloadTooLarge);
        }
    }

    #[tokio::test]
    async fn an_announced_length_is_refused_before_anything_is_read() {
        for length in ["3", "99999999999999999999999"] {
            let json = headers(&[("content-type", "application/json"), ("content-length", length)]);
            let never = Body::new(Frames(Vec::new(), false));
            assert_eq!(read_json(&json, never, 2).await.unwrap_err().code(), Code::PayloadTooLarge);
        }
    }

    #[tokio::test]
    async fn a_missing_body_is_a_400_and_where_it_may_be_missing_none() {
        let none = HeaderMap::new();
        let json = headers(&[("content-type", "application/json")]);
        for body in [Body::empty(), frames(&[]), frames(&[""])] {
            assert_eq!(read_json(&json, body, 9).await.unwrap_err().code(), Code::InvalidRequest);
        }
        for body in [Body::empty(), frames(&[]), frames(&[""])] {
            assert_eq!(read_optional_json(&none, body, 9).await, Ok(None));
        }
        let untyped = read_optional_json(&none, frames(&["{}"]), 9).await.unwrap_err();
        assert_eq!(untyped.code(), Code::UnsupportedMediaType);
    }

    /// What is read of a body whose frames have so many bytes, and come each after so long.
    async fn comes(frames: impl IntoIterator<Item = (Duration, usize)>) -> Result<usize, Code> {
        let frames = futures_util::stream::iter(frames.into_iter().collect::<Vec<_>>());
        let frames = frames.then(|(after, bytes)| async move {
            tokio::time::sleep(after).await;
            Ok::<_, Infallible>(Bytes::from(vec![b' '; bytes]))
        });
        let json = headers(&[("content-type", "application/json")]);
        let read = read_json(&json, Body::from_stream(frames), limits::WORK_BODY_BYTES_MAX).await;
        read.map(|body| body.len()).map_err(|error| error.code())
    }

    const MILLI: Duration = Duration::from_millis(1);
    const SLOW: Result<usize, Code> = Err(Code::RequestTimeout);

    #[tokio::test(start_paused = true)]
    async fn a_body_has_its_time_however_slowly_it_comes() {
        assert_eq!(comes([(limits::BODY_READ.saturating_sub(MILLI), 1)]).await, Ok(1));
        assert_eq!(comes([(limits::BODY_READ + MILLI, 1)]).await, SLOW);
        let began = Instant::now();
        let trickle = (0..).map(|_| (Duration::from_secs(1), 1)).take(1000);
        assert_eq!(comes(trickle).await, SLOW);
        assert_eq!(began.elapsed().as_secs(), limits::BODY_READ.as_secs());
        let json = headers(&[("content-type", "application/json")]);
        let stalled = Body::new(Frames(vec!["{"], false));
        assert_eq!(read_json(&json, stalled, 9).await.unwrap_err().code(), Code::RequestTimeout);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_the_least_rate_buys_more_time_and_what_comes_slower_does_not() {
        let second = usize::try_from(limits::BODY_BYTES_PER_SECOND_MIN).unwrap();
        let whole = |bytes: usize, last: Duration| comes([(Duration::ZERO, bytes), (last, 1)]);
        for seconds in [1, 32, limits::WORK_BODY_BYTES_MAX / second - 1] {
            let bytes = second * seconds;
            let bought = limits::BODY_READ + Duration::from_secs(seconds as u64);
            assert_eq!(whole(bytes, bought.saturating_sub(MILLI)).await, Ok(bytes + 1));
            assert_eq!(whole(bytes, bought + MILLI).await, SLOW);
        }
        // Evenly: at the least rate it comes in whole, with a fifth less it does not once its time is over.
        let minutes = |bytes| (0..240).map(move |_| (Duration::from_secs(1), bytes));
        assert_eq!(comes(minutes(second)).await, Ok(240 * second));
        assert_eq!(comes(minutes(second - second / 5)).await, SLOW);
    }
}
