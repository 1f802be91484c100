// SPDX-License-Identifier: GPL-2.0
// The provider of oidc.t: node oidc-provider.mjs DIR PORT REDIRECT. DIR is where
// oidc-provider is installed. Whoever logs in as NAME is NAME@example.com, whose
// address is verified unless the name begins with "x".
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [dir, port, redirect] = process.argv.slice(2);
const path = createRequire(`${dir}/`).resolve('oidc-provider');
const { default: Provider } = await import(pathToFileURL(path));

const provider = new Provider(`http://127.0.0.1:${port}`, {
	clients: [{
		client_id: 'tailrace',
		client_secret: 'a secret: 100% of it/+',
		redirect_uris: [redirect],
	}],
	pkce: { methods: ['S256'], required: () => true },
	claims: {
		openid: ['sub'],
		email: ['email', 'email_verified'],
		profile: ['name', 'preferred_username'],
		groups: ['groups'],
	},
	findAccount: (ctx, id) => ({
		accountId: id,
		claims: () => ({
			sub: `subject-${id}`,
			email: `${id}@example.com`,
			email_verified: !id.startsWith('x'),
			name: `The ${id}`,
			preferred_username: id,
			groups: id === 'ann' ? ['ops'] : ['guests'],
		}),
	}),
});

provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
