package providers

import (
	"encoding/json"
	"net/http"

	"github.com/ginauth/ginauth/internal/strictjson"
)

// addTokenType is NormalizeToken for providers whose response lacks token_type, which RFC 6749,
// 5.1, requires.
func addTokenType(_ http.Header, body []byte) ([]byte, error) {
	answer, err := strictjson.Object(body)
	if err != nil {
		return nil, err
	}
	if answer["token_type"] == nil {
		answer["token_type"] = "Bearer"
	}
	return json.Marshal(answer)
}
