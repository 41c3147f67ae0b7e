package ginauth_test

func faultsO() []fault {
	return []fault{}
}
