package providers

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"golang.org/x/oauth2"

	"github.com/ginauth/ginauth/internal/fetch"
	"github.com/ginauth/ginauth/internal/strictjson"
)

// profile is the type of Provider.Profile.
type profile = func(context.Context, *http.Client, *oauth2.Token) (map[string]any, error)

// profileAt reads a profile with one GET, which edit then modifies as ClaimPaths cannot, for
// example to join a name.
func profileAt(address string, edit func(claims map[string]any) error) profile {
	return func(ctx context.Context, client *http.Client, _ *oauth2.Token) (map[string]any, error) {
		claims, _, err := fetch.JSON(ctx, client, fetch.Request{Op: "profile", URL: address})
		if err != nil {
			return nil, err
		}
		return claims, edit(claims)
	}
}

// postForObject is fetch.JSON for a POST.
func postForObject(ctx context.Context, client *http.Client, address, contentType, body string) (map[string]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, io.NopCloser(strings.NewReader(body)))
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(body))
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return objectOf(client, req)
}

// objectOf sends a request and reads the JSON object in its response.
func objectOf(client *http.Client, req *http.Request) (map[string]any, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		return nil, fetch.StatusError("profile", req.URL.Host, resp.StatusCode)
	}
	raw, err := fetch.Read(resp, "profile", fetch.MaxBody)
	if err != nil {
		return nil, err
	}
	claims, err := strictjson.Object(raw)
	if err != nil {
		return nil, fetch.JSONError("profile", req.URL.Host, resp.StatusCode, err)
	}
	return claims, nil
}

// textAt returns the first text or number at one of the paths.
func textAt(claims map[string]any, paths ...string) string {
	for _, path := range paths {
		v, _ := strictjson.Lookup(claims, path)
		if s, ok := strictjson.String(v); ok && s != "" {
			return s
		}
	}
	return ""
}

// idAt is textAt for a subject. It returns "" for the number 0: all users without an id would
// share that account.
func idAt(claims map[string]any, path string) string {
	if v, _ := strictjson.Lookup(claims, path); v == json.Number("0") {
		return ""
	}
	return textAt(claims, path)
}

// flagAt reports whether the value at a path is true.
func flagAt(claims map[string]any, path string) bool {
	v, _ := strictjson.Lookup(claims, path)
	return v == true
}

// put sets a claim, unless the value is empty.
func put(claims map[string]any, name, value string) {
	if value != "" {
		claims[name] = value
	}
}
