package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"golang.org/x/oauth2"
)

// saved is the content of the file. The token is sent only to this API, and refreshed only at
// this endpoint, even if the API's metadata changes later.
type saved struct {
	API       string        `json:"api"`
	TokenURL  string        `json:"token_url"`
	RevokeURL string        `json:"revoke_url,omitempty"`
	Token     *oauth2.Token `json:"token"`
}

// What may be wrong with the file.
var (
	errReadable  = errors.New("can be read by others: delete it, and sign in again")
	errMalformed = errors.New("is malformed: delete it, and sign in again")
)

// token returns an access token that is valid for at least ten seconds.
func (t *tool) token(ctx context.Context) (token *oauth2.Token, err error) {
	err = t.locked(ctx, func() error {
		s, err := t.load()
		if err != nil {
			return err
		}
		if !s.Token.Valid() && s.Token.RefreshToken == "" {
			return errSignIn
		}
		token, err = t.config("", s.TokenURL).TokenSource(ctx, s.Token).Token()
		if err != nil {
			return explain(err)
		}
		if token.AccessToken == s.Token.AccessToken {
			return nil
		}
		s.Token = token
		return t.save(s)
	})
	return token, err
}

// locked runs f while holding the file's lock. If two processes refreshed the same token, the
// sign-in would end: the authorization server treats the second use of a refresh token as
// theft (RFC 9700, 4.14.2).
func (t *tool) locked(ctx context.Context, f func() error) error {
	if err := os.MkdirAll(filepath.Dir(t.file), 0o700); err != nil {
		return err
	}
	lock := flock.New(t.file + ".lock")
	if _, err := lock.TryLockContext(ctx, 20*time.Millisecond); err != nil {
		return err
	}
	defer lock.Unlock()
	return f()
}

func (t *tool) load() (*saved, error) {
	info, err := os.Stat(t.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errSignIn
	}
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s %w", t.file, errReadable)
	}
	text, err := os.ReadFile(t.file)
	if err != nil {
		return nil, err
	}
	var s saved
	if err := json.Unmarshal(text, &s); err != nil || s.Token == nil {
		return nil, fmt.Errorf("%s %w", t.file, errMalformed)
	}
	if s.API != t.api {
		return nil, errSignIn
	}
	return &s, nil
}

// save replaces the file atomically: an interrupted process leaves the old token or the new one.
func (t *tool) save(s *saved) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(t.file), "token-*") // with permissions 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), t.file)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
