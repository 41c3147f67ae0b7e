package ginauth;

import com.nimbusds.jose.JOSEException;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.jwk.KeyUse;
import com.nimbusds.jose.jwk.RSAKey;
import com.nimbusds.jose.jwk.gen.RSAKeyGenerator;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.proc.SecurityContext;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.context.annotation.Bean;
import org.springframework.core.annotation.Order;
import org.springframework.security.config.Customizer;
import org.springframework.security.config.annotation.web.builders.HttpSecurity;
import org.springframework.security.core.Authentication;
import org.springframework.security.core.GrantedAuthority;
import org.springframework.security.core.userdetails.User;
import org.springframework.security.core.userdetails.UserDetailsService;
import org.springframework.security.oauth2.core.AuthorizationGrantType;
import org.springframework.security.oauth2.core.ClientAuthenticationMethod;
import org.springframework.security.oauth2.core.oidc.endpoint.OidcParameterNames;
import org.springframework.security.oauth2.jwt.JwtEncoder;
import org.springframework.security.oauth2.jwt.NimbusJwtEncoder;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClient;
import org.springframework.security.oauth2.server.authorization.client.RegisteredClientRepository;
import org.springframework.security.oauth2.server.authorization.config.annotation.web.configurers.OAuth2AuthorizationServerConfigurer;
import org.springframework.security.oauth2.server.authorization.OAuth2TokenType;
import org.springframework.security.oauth2.server.authorization.settings.ClientSettings;
import org.springframework.security.oauth2.server.authorization.settings.OAuth2TokenFormat;
import org.springframework.security.oauth2.server.authorization.settings.TokenSettings;
import org.springframework.security.oauth2.server.authorization.token.JwtEncodingContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenClaimsContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenContext;
import org.springframework.security.oauth2.server.authorization.token.OAuth2TokenCustomizer;
import org.springframework.security.provisioning.InMemoryUserDetailsManager;
import org.springframework.security.web.SecurityFilterChain;
import org.springframework.security.web.authentication.LoginUrlAuthenticationEntryPoint;
import org.springframework.web.bind.annotation.PostMapping;
import org.springframework.web.bind.annotation.RequestBody;
import org.springframework.web.bind.annotation.RestController;

/** Spring Authorization Server as its documentation sets it up, for clients that the tests register. */
@SpringBootApplication
@RestController
public class Server {
	private final List<JWK> keys = new CopyOnWriteArrayList<>();
	private final Map<String, RegisteredClient> clients = new ConcurrentHashMap<>();

	public static void main(String[] args) {
		SpringApplication.run(Server.class, args);
	}

	/** The key that signs comes first. Each start makes a new one under the same kid. */
	Server() throws JOSEException {
		keys.add(newKey("first"));
	}

	private static RSAKey newKey(String kid) throws JOSEException {
		return new RSAKeyGenerator(2048).keyID(kid).keyUse(KeyUse.SIGNATURE).generate();
	}

	record Client(String id, String secret, String method, String redirect, String postLogout, boolean consent, String tool) {}

	/** What the API of the tests is called: the audience of access tokens with its scopes. */
	private static final String API = "https://api.example/orders";

	/** What the tests ask for: one more client. */
	@PostMapping("/control/client")
	void register(@RequestBody Client c) {
		var client = RegisteredClient.withId(c.id()).clientId(c.id()).clientSecret("{noop}" + c.secret())
				.clientAuthenticationMethod(new ClientAuthenticationMethod(c.method()))
				.authorizationGrantType(AuthorizationGrantType.AUTHORIZATION_CODE)
				.redirectUri(c.redirect())
				.scopes(s -> s.addAll(List.of("openid", "profile", "email")))
				.clientSettings(ClientSettings.builder().requireProofKey(true).requireAuthorizationConsent(c.consent()).build());
		if (c.tool() == null) {
			client.postLogoutRedirectUri(c.postLogout());
		} else {
			var format = c.tool().equals("opaque") ? OAuth2TokenFormat.REFERENCE : OAuth2TokenFormat.SELF_CONTAINED;
			client.clientName(c.tool());
			client.authorizationGrantType(AuthorizationGrantType.CLIENT_CREDENTIALS)
					.authorizationGrantType(AuthorizationGrantType.REFRESH_TOKEN)
					.scope("orders:read").scope("orders:write").scope("offline_access")
					.tokenSettings(TokenSettings.builder().accessTokenFormat(format).build());
		}
		clients.put(c.id(), client.build());
	}

	/** What the tests ask for: a new signing key. The one before stays published. */
	@PostMapping("/control/rotate")
	void rotate(@RequestBody Map<String, String> with) throws JOSEException {
		keys.add(0, newKey(with.get("kid")));
	}

	@Bean
	@Order(1)
	SecurityFilterChain protocol(HttpSecurity http) throws Exception {
		var server = OAuth2AuthorizationServerConfigurer.authorizationServer();
		return http.securityMatcher(server.getEndpointsMatcher())
				.with(server, s -> s.oidc(Customizer.withDefaults()))
				.authorizeHttpRequests(r -> r.anyRequest().authenticated())
				.exceptionHandling(e -> e.authenticationEntryPoint(new LoginUrlAuthenticationEntryPoint("/login")))
				.build();
	}

	@Bean
	@Order(2)
	SecurityFilterChain pages(HttpSecurity http) throws Exception {
		return http.authorizeHttpRequests(r -> r.requestMatchers("/control/*").permitAll().anyRequest().authenticated())
				.csrf(c -> c.ignoringRequestMatchers("/control/*"))
				.formLogin(Customizer.withDefaults())
				.build();
	}

	@Bean
	UserDetailsService people() {
		return new InMemoryUserDetailsManager(
				User.withUsername("ada").password("{noop}correct horse").authorities("staff", "admins").build(),
				User.withUsername("ben").password("{noop}correct horse").authorities("staff").build());
	}

	@Bean
	RegisteredClientRepository clients() {
		return new RegisteredClientRepository() {
			@Override
			public void save(RegisteredClient c) {
				clients.put(c.getId(), c);
			}

			@Override
			public RegisteredClient findById(String id) {
				return clients.get(id);
			}

			@Override
			public RegisteredClient findByClientId(String id) {
				return findById(id);
			}
		};
	}

	@Bean
	JWKSource<SecurityContext> keys() {
		return (selector, context) -> selector.select(new JWKSet(keys));
	}

	/** Of several keys that fit, the first signs: by itself it refuses to choose. */
	@Bean
	JwtEncoder encoder(JWKSource<SecurityContext> keys) {
		var encoder = new NimbusJwtEncoder(keys);
		encoder.setJwkSelector(found -> found.get(0));
		return encoder;
	}

	/** The audience of an opaque token, which is the client alone by itself. */
	@Bean
	OAuth2TokenCustomizer<OAuth2TokenClaimsContext> opaque() {
		return context -> {
			if (forAPI(context)) {
				context.getClaims().audience(List.of(API));
			}
		};
	}

	private static boolean forAPI(OAuth2TokenContext context) {
		return context.getAuthorizedScopes().stream().anyMatch(s -> s.startsWith("orders:"));
	}

	/** The profile, the groups, the API and the client, which the server puts into no token by itself. */
	@Bean
	OAuth2TokenCustomizer<JwtEncodingContext> claims() {
		return context -> {
			if (OAuth2TokenType.ACCESS_TOKEN.equals(context.getTokenType()) && forAPI(context)) {
				context.getClaims().audience(List.of(API));
				if (!context.getRegisteredClient().getClientName().equals("without client_id")) {
					context.getClaims().claim("client_id", context.getRegisteredClient().getClientId());
				}
			}
			if (!OidcParameterNames.ID_TOKEN.equals(context.getTokenType().getValue())) {
				return;
			}
			Authentication person = context.getPrincipal();
			context.getClaims()
					.claim("name", person.getName().equals("ada") ? "Ada Lovelace" : "Ben Jonson")
					.claim("preferred_username", person.getName())
					.claim("email", person.getName() + "@example.com").claim("email_verified", true)
					.claim("groups", person.getAuthorities().stream().map(GrantedAuthority::getAuthority)
							.filter(a -> !a.startsWith("FACTOR_")).toList());
		};
	}
}
