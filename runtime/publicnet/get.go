package publicnet

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// CheckURL says whether a URL is one that Get fetches.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("%.200q is no URL", text)
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%.200q: want http:// or https://", text)
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%.200q: want a host, no password and no fragment", text)
	}
	return nil
}

// Get reads what a URL leads to from an offset on, without credentials. What it gives is not
// checked.
func Get(ctx context.Context, c *http.Client, text string, offset int64) (io.ReadCloser, error) {
	if err := CheckURL(text); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, text, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity")
	if offset > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	skip := offset
	switch resp.StatusCode {
	case http.StatusOK: // it does not know ranges
	case http.StatusPartialContent:
		skip = 0
	default:
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s answers %s", req.URL.Host, resp.Status)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, skip); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}
