// Starts one express server for each form of fields, and prints their ports as a line of JSON.
'use strict'

const express = require('express')
const { rateLimit } = require('express-rate-limit')

const forms = JSON.parse(process.argv[2])

Promise.all(Object.entries(forms).map(([name, options]) => new Promise((resolve) => {
	const app = express()
	app.use(rateLimit(options))
	app.get('/', (_, res) => { res.send('ok') })
	const server = app.listen(0, '127.0.0.1', () => { resolve([name, server.address().port]) })
}))).then((ports) => { console.log(JSON.stringify(Object.fromEntries(ports))) })

// The test closes the standard input when it ends.
process.stdin.resume()
process.stdin.on('end', () => { process.exit(0) })
