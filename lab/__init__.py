"""A laboratory of container hosts made from an Ansible inventory: images, hosts, faults."""
