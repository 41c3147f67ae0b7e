module github.com/ginauth/ginauth/mutation

go 1.26.0
